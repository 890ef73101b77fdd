#include "cli/eval_prompts.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "cli/interrupt.hpp"
#include "evolve/prompt_plan.hpp"
#include "tasks/data_task.hpp"
#include "tasks/random.hpp"
#include "tasks/text_continuation.hpp"

namespace namm::cli {

std::string split_name(const po::variables_map& values) {
  const std::string name = values["split"].as<std::string>();
  if (values.contains("data")) return values["split"].defaulted() ? "all" : name;
  if (name == "all")
    throw std::invalid_argument(
        "--split: must be train, validation or test for generated prompts, is \"all\"; all is for --data");
  return name;
}

std::vector<std::uint64_t> prompts_to_measure(const po::variables_map& values, const TaskOptions& tasks, tasks::Split split) {
  auto wanted = static_cast<std::size_t>(values["samples"].as<int>());
  const auto* const data = dynamic_cast<const tasks::DataTask*>(tasks.tasks.front().get());
  const std::size_t there = data == nullptr ? tasks::DataTask::kEndless : data->different(split);
  if (there == 0)
    throw std::invalid_argument("--split: must have prompts, " + values["split"].as<std::string>() + " of " +
                                values["data"].as<std::string>() + " has none (" + std::to_string(data->documents()) +
                                " contexts; of every five three train, one validates, one tests); use --split all");
  const bool asked = !values["samples"].defaulted();
  if (wanted > there && asked)
    spdlog::warn("--samples {}: there {} {} different prompt{} measured once", wanted, there == 1 ? "is" : "are", there,
                 there == 1 ? ", which is" : "s, each is");
  if (there != tasks::DataTask::kEndless && (!asked || wanted > there)) wanted = there;
  std::vector<std::uint64_t> out(there == tasks::DataTask::kEndless ? wanted : there);
  std::iota(out.begin(), out.end(), std::uint64_t{0});
  if (out.size() == wanted) return out;
  tasks::Rng rng("eval/draw", split, values["seed"].as<std::uint64_t>(), 0);
  for (std::size_t i = 0; i < wanted; ++i) std::swap(out[i], out[rng.between(i, out.size() - 1)]);
  out.resize(wanted);
  std::sort(out.begin(), out.end());
  return out;
}

void continue_plain_texts(TaskOptions& tasks) {
  const auto data = std::dynamic_pointer_cast<const tasks::DataTask>(tasks.tasks.front());
  if (!data || !data->is_plain()) return;
  spdlog::warn(
      "{}: is plain text without questions: measured is how well its own next 32 words are continued, as in the task text; read "
      "dlogp, and KL with --wide; the score is low for any model",
      data->name());
  tasks.tasks.front() = std::make_shared<tasks::TextContinuation>(data);
}

std::vector<Prompt> prompts_of(HostPool& pool, const TaskOptions& tasks, std::size_t task, std::size_t length,
                               const std::vector<std::uint64_t>& numbers, std::uint64_t seed, tasks::Split split) {
  std::vector<evolve::PromptChoice> choices;
  for (const std::uint64_t number : numbers) choices.push_back({task, split, number, length, {0}});
  auto prompts = evolve::make_prompts(pool, tasks.tasks, choices, seed, tasks.protocol, &interrupted());
  if (!prompts) return {};
  for (const Prompt& prompt : *prompts)
    if (prompt.answer.empty())
      throw std::runtime_error("prompt " + prompt.sample.id +
                               ": must have answers to be scored, has none; give prompts with \"question\" and \"answers\"");
  return std::move(*prompts);
}

std::int64_t report_cut(const std::vector<Prompt>& prompts, std::size_t length) {
  std::size_t cut = 0, most = 0;
  for (const Prompt& prompt : prompts) {
    cut += prompt.sample.cut_tokens > 0 ? 1 : 0;
    most = std::max(most, prompt.sample.cut_tokens);
  }
  if (cut > 0)
    spdlog::warn("--length {}: {} of {} prompts lost their middle, up to {} tokens; leave --length out to read them whole",
                 length, cut, prompts.size(), most);
  return static_cast<std::int64_t>(cut);
}

int context_needed(const std::vector<Prompt>& prompts, std::span<const Candidate> candidates) {
  const bool repeated =
      std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.hindsight != nullptr; });
  std::size_t most = 0;
  for (const Prompt& p : prompts)
    most = std::max(most, p.context.size() + p.question.size() + (repeated ? p.context.size() + 64 : 0) +
                              std::max(p.answer.size(), static_cast<std::size_t>(p.task->max_answer_tokens())));
  return static_cast<int>(most) + 1;
}

}  // namespace namm::cli
