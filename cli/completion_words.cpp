#include "cli/completion_words.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "evolve/fitness.hpp"
#include "namm/policy.hpp"
#include "namm/strategy.hpp"
#include "tasks/task.hpp"

namespace namm::cli {
namespace {

using Words = std::vector<std::string>;

Words policies() {
  Words out = {std::string(kDefaultPolicyName), "own"};
  for (const PolicyEntry& entry : policy_registry()) out.emplace_back(entry.name);
  return out;
}

Words task_words() {
  Words out;
  std::set<std::string> families = {"all"};
  for (const tasks::TaskEntry& entry : tasks::task_registry()) {
    out.emplace_back(entry.name);
    families.emplace(entry.family);
  }
  out.insert(out.end(), families.begin(), families.end());
  return out;
}

template <class Entries>
Words names_of(const Entries& entries) {
  Words out;
  for (const auto& entry : entries) out.emplace_back(entry.name);
  return out;
}

Words strategies() {
  Words out = names_of(strategy_registry());
  out.insert(out.begin(), "auto");
  return out;
}

/// Of options whose values are few.
Words known_words(std::string_view command, std::string_view name) {
  struct Known {
    std::string_view name;
    Words words;
  };
  static const Known kKnown[] = {
      {"action", {"list", "show", "export", "add", "remove"}},
      {"mode", {"uniform", "pooled", "threshold", "reference"}},
      {"split", {"train", "validation", "test", "all"}},
      {"compress", {"chunked", "once"}},
      {"haystack", {"own", "prose", "repeated", "code", "code:"}},
      {"format", {"text", "markdown", "html", "latex", "csv", "json"}},
      {"features", {"light", "extended", "paper", "probe", "light+probe", "extended+probe", "paper+probe"}},
      {"target", {"reconstruction", "later", "planted", "answers"}},
      {"input", {"key", "layer"}},
      {"read-out", {"quadratic", "linear"}},
      {"attachment", {"backend", "device", "callback"}},
      {"statistics", {"all", "sums"}},
      {"keys", {"f16", "f32", "none"}},
      {"clock", {"wall", "processor"}},
      {"store", {"f16", "q8_0", "q4_0", "q8_0,q4_0", "f16+4means", "q8_0+4means"}},
      {"kernel", {"all", "none"}},
      {"counter", {"words", "chars/4", "chars"}},
      {"budget", {"50%", "25%", "12.5%"}}};
  if (command == "prompts" && name == "split") return {"train", "validation", "test"};
  if (command == "calibrate" && name == "format") return {"json", "safetensors"};
  if (command == "tune" && name == "store") return {"auto", "f16", "q8_0", "q4_0", "q8_0,q4_0", "f16+4means", "q8_0+4means"};
  if (command == "evolve" && name == "start") return {"zeros", "least-squares"};
  for (const Known& known : kKnown)
    if (known.name == name) return known.words;
  if (name == "policy") return policies();
  if (name == "tasks" || name == "task") return task_words();
  if (name == "fitness") return names_of(evolve::fitness_registry());
  if (name == "strategy") return strategies();
  return {};
}

}  // namespace

CompletionWords completion_words(std::string_view command, const po::option_description& option) {
  CompletionWords out;
  out.value = option.semantic()->max_tokens() > 0;
  if (!out.value) return out;
  const std::string& name = option.long_name();
  const std::string shown = option.format_parameter();  // "FILE", "arg (=1)", "A,B (=basic)"
  out.words = known_words(command, name);
  out.list = shown.find(',') != std::string::npos;
  const auto says = [&](const char* word) { return shown.rfind(word, 0) == 0; };
  out.files = says("FILE") || says("DIR") || name == "policy" || name == "haystack" || (command == "evolve" && name == "start");
  return out;
}

}  // namespace namm::cli
