#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/folded_name.hpp"
#include "base/registry.hpp"
#include "tasks/generators.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {
namespace {

using Factory = std::unique_ptr<Task> (*)(std::shared_ptr<const Haystack>);

template <Factory kFactory>
std::unique_ptr<Task> on_own_filler() {
  return kFactory(nullptr);
}
template <Factory kFactory>
constexpr TaskEntry entry(std::string_view name, std::string_view family, std::string_view summary) {
  return {name, family, summary, &on_own_filler<kFactory>, kFactory};
}

constexpr std::array kTasks = {
    entry<make_passkey>("passkey", "basic", "five digits said once in a long text (arXiv 2305.16300)"),
    entry<make_niah_single>("niah-single", "basic", "a seven-digit number for one word in a long text (RULER, arXiv 2404.06654)"),
    entry<make_kv_recall>("kv-recall", "basic", "one of many four-digit codes scattered over a long text"),
    entry<make_niah_single_1>("niah-single-1", "ruler", "one number in repeated sentences"),
    entry<make_niah_single_2>("niah-single-2", "ruler", "one number in prose"),
    entry<make_niah_single_3>("niah-single-3", "ruler", "one identifier of 36 characters in prose"),
    entry<make_niah_multikey_1>("niah-multikey-1", "ruler", "one of four numbers in prose"),
    entry<make_niah_multikey_2>("niah-multikey-2", "ruler", "one number among nothing but numbers"),
    entry<make_niah_multikey_3>("niah-multikey-3", "ruler", "one identifier among nothing but identifiers"),
    entry<make_niah_multivalue>("niah-multivalue", "ruler", "all four numbers of one key in prose"),
    entry<make_niah_multiquery>("niah-multiquery", "ruler", "the numbers of four keys in prose"),
    entry<make_vt>("vt", "ruler", "variables that have one value through a chain of assignments"),
    entry<make_cwe>("cwe", "ruler", "the ten commonest words of a list"),
    entry<make_fwe>("fwe", "ruler", "the three most frequent coded words"),
    entry<make_number_string>("number-string", "infinitebench", "ten digits with repetitions in repeated sentences"),
    entry<make_kv_retrieval>("kv-retrieval", "infinitebench", "the value of one key of a JSON object of identifiers"),
    entry<make_passage_retrieval>("passage-retrieval", "longbench", "the number of the paragraph that a sentence is from"),
    entry<make_passage_count>("passage-count", "longbench", "how many different paragraphs there are"),
    entry<make_code_completion>("code-completion", "code", "the next line of a source file after others"),
    entry<make_code_retrieval>("code-retrieval", "code", "the number that a macro stands for, somewhere in source files"),
    entry<make_multi_turn>("multi-turn", "facts", "a fact told early in a chat, asked for late"),
    entry<make_city_facts>("city-facts", "facts", "one of twelve facts about invented cities in prose"),
    entry<make_text>("text", "plain", "a text's own continuation, for perplexity and fidelity"),
};

struct OtherName {
  std::string_view folded, ours;
};
/// What people call these tasks, as folded_name() has it, and which of ours come near. Several: nothing is chosen for anybody.
constexpr OtherName kOtherNames[] = {{"needle", "niah-single, niah-multikey-1, passkey"},
                                     {"needles", "niah-multivalue, niah-multiquery, niah-multikey-1"},
                                     {"niah", "niah-single, niah-multikey-1, niah-multivalue"},
                                     {"needleinahaystack", "niah-single, niah-multikey-1, passkey"},
                                     {"niahmultikey", "niah-multikey-1, niah-multikey-2, niah-multikey-3"},
                                     {"kv", "kv-recall, kv-retrieval"},
                                     {"variabletracking", "vt"},
                                     {"commonwords", "cwe"},
                                     {"frequentwords", "fwe"},
                                     {"chat", "multi-turn"},
                                     {"perplexity", "text"},
                                     {"ppl", "text"}};

}  // namespace

std::span<const TaskEntry> task_registry() {
  return kTasks;
}

std::vector<std::string> task_names(std::span<const std::string> names_and_families) {
  std::vector<std::string> names;
  const auto add = [&](std::string_view name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  };
  for (const std::string& word : names_and_families) {
    bool family = false;
    for (const TaskEntry& entry : kTasks)
      if (word == "all" || word == entry.family) {
        add(entry.name);
        family = true;
      }
    if (!family) add(word);
  }
  return names;
}

std::unique_ptr<Task> make_task(std::string_view name, std::shared_ptr<const Haystack> haystack) {
  for (const OtherName& other : kOtherNames)
    if (other.folded == folded_name(name))
      throw std::invalid_argument(
          std::string("task: must be a registered name, is '").append(name).append("'; nearest: ").append(other.ours));
  return find_entry("task", name, kTasks).make_on(std::move(haystack));
}

std::unique_ptr<Task> make_task(std::string_view name) {
  return make_task(name, nullptr);
}

}  // namespace namm::tasks
