#include "cli/evolve_options.hpp"

#include <stdexcept>

#include "base/registry.hpp"
#include "cli/model_options.hpp"
#include "core/features/feature_set.hpp"
#include "evolve/fitness.hpp"
#include "evolve/strategy_choice.hpp"
#include "namm/strategy.hpp"

namespace namm::cli {
namespace {

constexpr int kPromptMebibytes = static_cast<int>(evolve::kPromptMemory >> 20);

template <class Entries>
std::string names_of(const Entries& entries) {
  std::string out;
  for (const auto& entry : entries) out += (out.empty() ? "" : ", ") + std::string(entry.name);
  return out;
}

std::optional<std::string> text_unless_default(const po::variables_map& values, const char* option) {
  if (!values.contains(option) || values[option].defaulted()) return std::nullopt;
  return values[option].as<std::string>();
}

PromptCount prompt_count(const po::variables_map& values, const char* option) {
  return {values[option].as<int>(), was_given(values, option)};
}

std::string given_prompt_option(const po::variables_map& values) {
  for (const char* const name : {"tasks", "data", "length", "haystack", "question-in-context", "no-chat"})
    if (was_given(values, name)) return std::string("--") + name;
  return {};
}

/// What the fitness is measured on: a trace, or else the model.
void read_traces(const po::variables_map& values, TraceFiles& traces, EvolveOptions& out) {
  if (values.contains("traces")) {
    out.traces = values["traces"].as<std::string>();
    if (!values.contains("model") && values["gpu-layers"].as<int>() > 0)
      throw std::invalid_argument(
          "--gpu-layers: must be given with --model, is given with --traces alone, which runs no model; "
          "leave it out");
    out.trace = traces.open(out.traces);
    return;
  }
  if (!values.contains("model"))
    throw std::invalid_argument("option --model: must be given, or recorded prompts with --traces; see --help");
  if (values["fitness"].as<std::string>() == "retention")
    throw std::invalid_argument("--fitness retention: needs recorded prompts; give --traces FILE, as 'namm trace' writes it");
}

evolve::StopRules stop_rules_from(const po::variables_map& values) {
  evolve::StopRules out;
  out.minutes = values["stop-after-minutes"].as<double>();
  if (values.contains("stop-at")) out.at = values["stop-at"].as<double>();
  out.stagnant = values["stop-stagnant"].as<std::int64_t>();
  out.restarts = values["restarts"].as<std::int64_t>();
  out.restart_population = values["restart-population"].as<double>();
  return out;
}

}  // namespace

po::options_description evolve_option_list() {
  po::options_description options("Options", 100);
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
  options.add_options()("strategy", po::value<std::string>()->default_value(evolve::kAutoStrategy)->value_name("NAME"),
                        ("auto (cma below " + std::to_string(evolve::kFewParameters) + " parameters, else sep-cma-tpa), " +
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

EvolveOptions evolve_options_from(const po::variables_map& values, TraceFiles& traces) {
  EvolveOptions out;
  out.tasks = tasks_from(values, tasks::FileSplits::disjoint);
  if (values.contains("data")) out.data = values["data"].as<std::string>();
  out.haystack = values["haystack"].as<std::string>();
  out.prompt_option = given_prompt_option(values);
  require_at_least("--prompt-memory", values["prompt-memory"].as<int>(), 1);
  out.prompt_memory_bytes = static_cast<std::size_t>(values["prompt-memory"].as<int>()) << 20;
  out.fitness = text_unless_default(values, "fitness");
  read_traces(values, traces, out);

  out.policy = recorded_policy(values["policy"].as<std::string>());
  out.features = text_unless_default(values, "features");
  if (out.features) find_entry("--features", *out.features, feature_sets());
  out.probe = text_unless_default(values, "probe");
  out.start = values["start"].as<std::string>();
  out.budgets = parse_budgets(values["budget"].as<std::string>());
  out.memory = memory_from(values);

  out.strategy = values["strategy"].as<std::string>();
  out.population = values["population"].as<int>();
  out.step_size = values["step-size"].as<double>();
  out.generations = values["generations"].as<std::int64_t>();
  out.prompts = prompt_count(values, "prompts");
  out.training_pool = prompt_count(values, "training-pool");
  out.validation = prompt_count(values, "validation");
  out.validate_every = values["validate-every"].as<std::int64_t>();
  out.stop = stop_rules_from(values);
  out.seed = values["seed"].as<std::uint64_t>();
  out.model = model_from(values);
  return out;
}

bool was_given(const po::variables_map& values, const std::string& option) {
  if (!values.contains(option) || values[option].defaulted()) return false;
  static const po::options_description options = evolve_option_list();
  boost::any usual;
  if (!options.find(option, false).semantic()->apply_default(usual)) return true;
  const boost::any& value = values[option].value();
  if (const auto* text = boost::any_cast<std::string>(&value)) return *text != boost::any_cast<std::string>(usual);
  if (const auto* number = boost::any_cast<int>(&value)) return *number != boost::any_cast<int>(usual);
  return true;
}

}  // namespace namm::cli
