#include "evolve/prompt_plan.hpp"

#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <numeric>
#include <unordered_map>

namespace namm::evolve {
namespace {

/// `count` different numbers below `size`, from the seed, generation and task only (the first steps of Fisher and Yates' shuffle,
/// with a map in place of the array).
std::vector<std::uint64_t> draw(std::uint64_t size, std::size_t count, std::uint64_t seed, std::int64_t generation,
                                std::size_t task) {
  const std::uint64_t key[] = {seed, static_cast<std::uint64_t>(generation), task};
  std::uint64_t mixed = 0;
  for (std::uint64_t part : key) {  // splitmix64
    mixed += part + 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
  }
  boost::random::mt19937_64 engine(mixed);
  std::unordered_map<std::uint64_t, std::uint64_t> moved;
  std::vector<std::uint64_t> drawn;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t j = boost::random::uniform_int_distribution<std::uint64_t>(i, size - 1)(engine);
    drawn.push_back(moved.try_emplace(j, j).first->second);
    moved[j] = moved.try_emplace(i, i).first->second;
  }
  return drawn;
}

}  // namespace

std::vector<PromptChoice> PromptPlan::minibatch(std::int64_t generation) const {
  std::vector<PromptChoice> choices;
  for (std::size_t task = 0; task < tasks; ++task) {
    const std::uint64_t first = static_cast<std::uint64_t>(generation) * prompts_per_task;
    std::vector<std::uint64_t> drawn;
    if (training_pool > 0) drawn = draw(training_pool, prompts_per_task, seed, generation, task);
    for (std::size_t i = 0; i < prompts_per_task; ++i) {
      PromptChoice choice;
      choice.task = task;
      choice.index = drawn.empty() ? first + i : drawn[i];
      choice.length_tokens = lengths_tokens[choice.index % lengths_tokens.size()];
      // by task as well: with few prompts per task, whole generations would otherwise be under one budget
      choice.budgets = {static_cast<std::size_t>(((first + i) / lengths_tokens.size() + task) % budgets)};
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

std::vector<PromptChoice> PromptPlan::validation() const {
  std::vector<PromptChoice> choices;
  for (std::size_t task = 0; task < tasks; ++task) {
    for (std::size_t i = 0; i < validation_prompts; ++i) {
      PromptChoice choice;
      choice.task = task;
      choice.split = tasks::Split::validation;
      choice.index = i;
      choice.length_tokens = lengths_tokens[i % lengths_tokens.size()];
      choice.budgets.resize(budgets);
      std::iota(choice.budgets.begin(), choice.budgets.end(), std::size_t{0});
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

std::optional<std::vector<Prompt>> make_prompts(HostPool& pool, const std::vector<std::shared_ptr<const tasks::Task>>& tasks,
                                                const std::vector<PromptChoice>& choices, std::uint64_t seed,
                                                const ProtocolSettings& protocol, const std::atomic<bool>* stop) {
  std::vector<Prompt> prompts(choices.size());
  const auto work = [&](std::size_t i, Host& host) {
    const PromptChoice& choice = choices[i];
    const tasks::TokenCounter count = [&](std::string_view text) { return host.tokenize(text, false).size(); };
    tasks::SampleRequest request;
    request.split = choice.split;
    request.seed = seed;
    request.index = choice.index;
    request.length_tokens = choice.length_tokens;
    prompts[i] = encode_prompt(host, tasks[choice.task]->make(request, count), tasks[choice.task], protocol);
  };
  if (!pool.run(choices.size(), work, stop)) return std::nullopt;
  return prompts;
}

}  // namespace namm::evolve
