#include "cli/evolve_hosts.hpp"

#include <algorithm>
#include <filesystem>

#include "base/version.hpp"
#include "cli/evolve_traces.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_options.hpp"
#include "evolve/ranks/rank_units.hpp"
#include "kernels/isa.hpp"
#include "tasks/data_task.hpp"

namespace namm::cli {
namespace {

constexpr std::size_t kBesideContext = 256;  // tokens for chat template, question and answer of a generated task
constexpr std::size_t kBesideAnswer = 128;   // the same without the answer
constexpr std::size_t kBesideData = 16;      // for a space or a special token more in the middle of a prompt than at its end

}  // namespace

void EvolveHosts::prepare(const EvolveOptions& stage) {
  const std::string source = stage.trace ? stage.traces : stage.model.model.string();
  if (pool_ && source == source_) return;
  pool_.reset();  // before the next model is loaded
  if (stage.trace) {
    pool_.emplace(trace_factory(stage.trace), stage.model.workers);
  } else {
    const auto model = load_model(stage.model);
    bool chat = stage.tasks.protocol.chat_template;
    drop_unknown_template(*model, chat);
    int context_tokens = 0;  // of all stages that are measured on the model
    for (const EvolvePlan::Stage& one : plan_.stages)
      if (!one.options.trace) context_tokens = std::max(context_tokens, context_for(model, one.options.tasks));
    ModelOptions options = stage.model;
    options.stop = &interrupted();  // a text that is left unread costs nothing: its generation is abandoned
    pool_.emplace(host_factory(model, options, context_tokens), options.workers);
  }
  source_ = source;
}

std::string EvolveHosts::identity(const evolve::RunSettings& settings) const {
  nlohmann::json tasks = nlohmann::json::array();
  for (const auto& task : settings.tasks) tasks.push_back(task->name());
  nlohmann::json all = {{"version", std::string(version()).append(" ").append(commit())},
                        {evolve::kIsaIdentity, kernels::isa_name()},
                        {"model", pool_->host().description().model},
                        {"model_bytes", std::filesystem::file_size(source_)},
                        {"tasks", tasks},
                        {"lengths_tokens", settings.lengths_tokens},
                        {"fitness", settings.fitness},
                        {"traces", settings.traces},
                        {"chat_template", settings.protocol.chat_template},
                        {"question_after", settings.protocol.question_after}};
  all.update(settings.sources);
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int context_for(const std::shared_ptr<const llama::LlamaModel>& model, const TaskOptions& options) {
  std::size_t beside = kBesideContext;
  for (const auto& task : options.tasks) {
    const auto answer = static_cast<std::size_t>(task->max_answer_tokens());
    const auto* const data = dynamic_cast<const tasks::DataTask*>(task.get());
    if (data == nullptr) {
      beside = std::max(beside, kBesideAnswer + answer);
      continue;
    }
    const bool whole = std::count(options.lengths_tokens.begin(), options.lengths_tokens.end(), std::size_t{0}) > 0;
    const std::unique_ptr<Host> tokeniser = host_factory(model, {}, static_cast<int>(kBesideContext))();
    for (const tasks::Sample& sample : data->samples()) {
      tasks::Sample without_context;
      if (whole) without_context.context = sample.context;
      without_context.question = sample.question;
      without_context.answer_prefix = sample.answer_prefix;
      without_context.answers = sample.answers;
      const Prompt prompt = encode_prompt(*tokeniser, std::move(without_context), task, options.protocol);
      beside =
          std::max(beside, prompt.context.size() + prompt.question.size() + std::max(prompt.answer.size(), answer) + kBesideData);
    }
  }
  std::size_t longest = 0;
  for (const std::size_t length : options.lengths_tokens) longest = std::max(longest, length);
  return static_cast<int>(longest + beside);
}

}  // namespace namm::cli
