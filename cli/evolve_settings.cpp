#include "cli/evolve_settings.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "base/date.hpp"
#include "base/version.hpp"
#include "cli/evolve_start.hpp"
#include "cli/evolve_traces.hpp"
#include "eval/fingerprint.hpp"
#include "evolve/fitness.hpp"
#include "namm/strategy.hpp"

namespace namm::cli {
namespace {

constexpr const char* kAuto = "auto";
constexpr int kPromptMebibytes = static_cast<int>(evolve::kPromptMemory >> 20);
// from here on a few dozen generations teach a full covariance nothing, and its decompositions cost (docs/strategies.md)
constexpr std::size_t kFewParameters = 30;
constexpr std::size_t kBesideContext = 256;  // tokens for chat template, question and answer of a generated task
constexpr std::size_t kBesideAnswer = 128;   // the same without the answer
constexpr std::size_t kBesideData = 16;      // for a space or a special token more in the middle of a prompt than at its end

template <class Entries>
std::string names_of(const Entries& entries) {
  std::string out;
  for (const auto& entry : entries) out += (out.empty() ? "" : ", ") + std::string(entry.name);
  return out;
}

/// Numbers of prompts, as far as --data has so many: beyond, the same ones would count twice.
void count_on_data(const po::variables_map& values, evolve::RunSettings& settings) {
  const auto* const data = dynamic_cast<const tasks::DataTask*>(settings.tasks.front().get());
  if (data == nullptr) return;
  const std::string name = values["data"].as<std::string>();
  const std::size_t training = data->different(tasks::Split::train), validation = data->different(tasks::Split::validation);
  if (training == 0 || validation == 0)
    throw std::invalid_argument("--data: must hold at least 4 prompts (of every five, three train and the fourth validates), " +
                                name + " holds " + std::to_string(data->samples().size()) + "; add some");
  settings.prompts_per_task = count_from(values, "prompts", training, "training prompts of " + name);
  settings.training_pool = count_from(values, "training-pool", training, "training prompts of " + name);
  settings.validation_prompts = count_from(values, "validation", validation, "validation prompts of " + name);
}

}  // namespace

po::options_description evolve_options() {
  po::options_description options("Options", 110);
  options.add_options()("output,o", po::value<std::string>()->value_name("DIR"),
                        "new folder for policy.json, checkpoint.json, log.jsonl, timing.jsonl");
  options.add_options()("resume", po::value<std::string>()->value_name("DIR"),
                        "continues the run in this folder (same settings, taken from its run.json; --generations may grow)");
  options.add_options()("config", po::value<std::string>()->value_name("FILE"),
                        "a run as JSON: options without dashes, \"stages\" for several runs in a row; what is given here wins");
  add_model(options, 1, false);
  add_traces(options);
  options.add_options()("policy,p", po::value<std::string>()->default_value("linear")->value_name("NAME"),
                        "what evolves: namm, namm-mlp or linear, or what to start from: a policy file or default");
  options.add_options()("features", po::value<std::string>()->default_value("light")->value_name("NAME"),
                        "token features: light (8, no spectrogram), extended (34), paper (25); probe (4), or any of the three "
                        "followed by +probe, with --probe");
  options.add_options()("probe", po::value<std::string>()->value_name("FILE"),
                        "policy file of 'namm calibrate' for this model: its probe becomes a feature, and the start is the "
                        "calibrated policy in it; features default to probe then");
  options.add_options()(
      "start", po::value<std::string>()->default_value("zeros")->value_name("WHAT"),
      "of a new policy: zeros; least-squares (with --traces: its linear part, fitted to the attention that the answers paid each "
      "token); or a file of a linear policy, which namm and namm-mlp contain");
  options.add_options()(
      "budget,b", po::value<std::string>()->default_value("25%")->value_name("B,C"),
      "budgets to evolve under, in turn; the first becomes the policy's default, the best for each is kept, too");
  add_memory(options);
  add_tasks(options, "512");
  options.add_options()("fitness", po::value<std::string>()->default_value("answer-likelihood")->value_name("NAME"),
                        names_of(evolve::fitness_registry()).c_str());
  options.add_options()("strategy", po::value<std::string>()->default_value(kAuto)->value_name("NAME"),
                        ("auto (cma below " + std::to_string(kFewParameters) + " parameters, else sep-cma-tpa), " +
                         names_of(strategy_registry()))
                            .c_str());
  options.add_options()("population", po::value<int>()->default_value(0)->value_name("N"),
                        "offspring per generation; 0 = 4 + 3 ln n");
  options.add_options()("step-size", po::value<double>()->default_value(0)->value_name("S"),
                        "first step size; 0 = 0.3 below 100 parameters, else 0.065");
  options.add_options()("generations,g", po::value<std::int64_t>()->default_value(30)->value_name("N"), "in all");
  options.add_options()("prompts", po::value<int>()->default_value(4)->value_name("N"),
                        "training prompts per task and generation, the same for all candidates");
  options.add_options()("training-pool", po::value<int>()->default_value(0)->value_name("N"),
                        "different training prompts per task; 0 = new ones every generation (of --data one after the other, "
                        "then from the first again), with --traces all");
  options.add_options()("prompt-memory", po::value<int>()->default_value(kPromptMebibytes)->value_name("MIB"),
                        "of prompts that semi-live and fidelity remember, in each process; beyond it they are read again");
  options.add_options()("validation", po::value<int>()->default_value(8)->value_name("N"),
                        "validation prompts per task; they decide which policy is kept");
  options.add_options()("validate-every", po::value<std::int64_t>()->default_value(5)->value_name("N"), "generations");
  options.add_options()("stop-after-minutes", po::value<double>()->default_value(0)->value_name("M"),
                        "ends after the generation in which so much time has passed; every stage, and whoever resumes, begins "
                        "to count anew; 0 = no limit");
  options.add_options()("stop-at", po::value<double>()->value_name("V"), "ends when the validation is at least this");
  options.add_options()("stop-stagnant", po::value<std::int64_t>()->default_value(0)->value_name("N"),
                        "ends after so many generations without a better validation; 0 = never");
  options.add_options()("restarts", po::value<std::int64_t>()->default_value(0)->value_name("N"),
                        "begins anew so often, with other draws, where --stop-stagnant would end it");
  options.add_options()("restart-population", po::value<double>()->default_value(2)->value_name("F"),
                        "each restart multiplies the population by F; 1 = the same");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of everything");
  options.add_options()("rank-timeout", po::value<int>()->default_value(60)->value_name("SECONDS"),
                        "under mpirun: a rank that has work and says nothing for so long ends the run; at least 5");
  add_general(options);
  return options;
}

evolve::RunSettings measuring_settings_from(const po::variables_map& values) {
  evolve::RunSettings out;
  TaskOptions tasks = tasks_from(values, tasks::FileSplits::disjoint);
  out.tasks = std::move(tasks.tasks);
  out.lengths_tokens = std::move(tasks.lengths_tokens);
  out.protocol = tasks.protocol;
  out.fitness = values["fitness"].as<std::string>();
  require_at_least("--prompt-memory", values["prompt-memory"].as<int>(), 1);
  out.prompt_memory_bytes = static_cast<std::size_t>(values["prompt-memory"].as<int>()) << 20;
  if (const auto trace = trace_from(values)) measure_on_trace(values, *trace, out);
  return out;
}

evolve::RunSettings settings_from(const po::variables_map& values) {
  evolve::RunSettings out = measuring_settings_from(values);
  EvolveStart start = start_from(values);
  out.prototype = start.file.policy;
  out.gather_normalisation = start.fresh;
  out.budgets = parse_budgets(values["budget"].as<std::string>());
  for (const Budget& budget : out.budgets) {
    const CachePolicy memory = make_memory(start.file, memory_from(values), budget);
    out.selection = memory.selection;
    out.spectrogram = memory.spectrogram;
    out.interval_tokens = memory.interval_tokens;
  }
  if (start.fitted) {
    out.fit_start = fitted_start(values, out);
    out.start = values["start"].as<std::string>();
  }
  const std::size_t parameters = out.prototype->parameter_count();
  out.strategy = values["strategy"].as<std::string>();
  if (out.strategy == kAuto) out.strategy = parameters < kFewParameters ? "cma" : "sep-cma-tpa";
  out.population = values["population"].as<int>();
  const double step = values["step-size"].as<double>();
  if (!(step >= 0) || !std::isfinite(step))
    throw std::invalid_argument("--step-size: must be positive (or 0 for the default), is " + std::to_string(step) +
                                "; for example 0.3");
  out.step_size = step > 0 ? step : parameters < 100 ? 0.3 : 0.065;
  out.generations = values["generations"].as<std::int64_t>();
  out.validate_every = values["validate-every"].as<std::int64_t>();
  const auto positive = [&](const char* name, int low) {
    require_at_least(std::string("--") + name, values[name].as<int>(), low);
    return static_cast<std::size_t>(values[name].as<int>());
  };
  require_at_least("--generations", out.generations, 0);
  require_at_least("--validate-every", out.validate_every, 1);
  require_at_least("--population", out.population, 0);
  out.prompts_per_task = positive("prompts", 1);
  out.training_pool = positive("training-pool", 0);
  out.validation_prompts = positive("validation", 1);
  out.stop.minutes = values["stop-after-minutes"].as<double>();
  if (values.contains("stop-at")) out.stop.at = values["stop-at"].as<double>();
  out.stop.stagnant = values["stop-stagnant"].as<std::int64_t>();
  out.stop.restarts = values["restarts"].as<std::int64_t>();
  out.stop.restart_population = values["restart-population"].as<double>();
  if (!(out.stop.minutes >= 0))
    throw std::invalid_argument("--stop-after-minutes: must be positive (or 0 for no limit), is " +
                                std::to_string(out.stop.minutes) + "; for example 60");
  require_at_least("--stop-stagnant", out.stop.stagnant, 0);
  require_at_least("--restarts", out.stop.restarts, 0);
  if (out.stop.restarts > 0 && out.stop.stagnant == 0)
    throw std::invalid_argument("--restarts: must come with --stop-stagnant, which says when to begin anew; for example 20");
  if (!(out.stop.restart_population >= 1 && out.stop.restart_population <= 16))
    throw std::invalid_argument("--restart-population: must be from 1 to 16, is " + std::to_string(out.stop.restart_population) +
                                "; 2 doubles it");
  out.seed = values["seed"].as<std::uint64_t>();
  if (const auto trace = trace_from(values))
    count_on_trace(values, *trace, out);
  else
    count_on_data(values, out);
  return out;
}

bool was_given(const po::variables_map& values, const std::string& option) {
  if (!values.contains(option) || values[option].defaulted()) return false;
  static const po::options_description options = evolve_options();
  boost::any usual;
  if (!options.find(option, false).semantic()->apply_default(usual)) return true;
  const boost::any& value = values[option].value();
  if (const auto* text = boost::any_cast<std::string>(&value)) return *text != boost::any_cast<std::string>(usual);
  if (const auto* number = boost::any_cast<int>(&value)) return *number != boost::any_cast<int>(usual);
  return true;
}

std::size_t count_from(const po::variables_map& values, const std::string& option, std::size_t there,
                       const std::string& prompts) {
  const auto wanted = static_cast<std::size_t>(std::max(values[option].as<int>(), 0));
  if (was_given(values, option) && wanted > there)
    throw std::invalid_argument("--" + option + ": must be at most the " + std::to_string(there) + " " + prompts + ", is " +
                                std::to_string(wanted) + "; lower it or provide more");
  return std::min(wanted, there);
}

nlohmann::json sources_of(const po::variables_map& values) {
  if (values.contains("traces")) return nlohmann::json::object();  // RunSettings::traces tells them apart
  nlohmann::json out = {{"model_bytes", std::filesystem::file_size(values["model"].as<std::string>())}};
  if (values.contains("data"))
    out["data"] = eval::file_fingerprint(values["data"].as<std::string>());
  else
    out["haystack"] = eval::haystack_fingerprint(values["haystack"].as<std::string>());
  return out;
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
    const std::unique_ptr<Host> tokeniser = host_factory(model, {}, static_cast<int>(kBesideContext))();
    for (const tasks::Sample& sample : data->samples()) {
      tasks::Sample without_context;
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

nlohmann::json provenance_of(const evolve::RunSettings& settings, const HostDescription& host) {
  nlohmann::json task_names = nlohmann::json::array();
  for (const auto& task : settings.tasks) task_names.push_back(task->name());
  return {{"model", host.model},         {"architecture", host.architecture},
          {"tasks", task_names},         {"lengths_tokens", settings.lengths_tokens},
          {"fitness", settings.fitness}, {"strategy", settings.strategy},
          {"seed", settings.seed},       {"date", today()},
          {"version", version()},        {"commit", commit()}};
}

}  // namespace namm::cli
