#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>

#include "adapters/llama_cpp/model_key.hpp"
#include "base/atomic_file.hpp"
#include "base/date.hpp"
#include "base/format.hpp"
#include "base/json_limits.hpp"
#include "base/version.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/run_config.hpp"
#include "cli/tune_stages.hpp"
#include "core/model_policies.hpp"
#include "core/policies/key_probe.hpp"
#include "eval/evaluation.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTuneStateFile = "tune.json";
constexpr const char* kTuneOptionsFile = "run.json";
constexpr std::string_view kOfTuneCall[] = {"output", "resume", "quiet", "verbose", "help", "help-all"};

po::options_description tune_options() {
  po::options_description options("Options", 100);
  options.add_options()("output,o", po::value<std::string>()->value_name("DIR"),
                        "new folder for policy.json, what led to it, and report.html")(
      "resume", po::value<std::string>()->value_name("DIR"), "continues the tuning in this folder; needs no other option");
  add_model(options, 1);
  options.add_options()("budget,b", po::value<std::string>()->default_value("25%")->value_name("B"),
                        "the budget to tune for: 25%, 256 (tokens per head), 64MiB")(
      "minutes", po::value<double>()->default_value(0)->value_name("T"),
      "about how long it may take: every step is made as large as fits; 0 = the full size of each, however long")(
      "data", po::value<std::string>()->value_name("FILE"),
      "texts or prompts of your own (text, JSON lines), to calibrate on besides the made-up ones")(
      "seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of texts, prompts and evolution");
  add_general(options);
  return options;
}

/// What is done stands in the folder, so that whoever resumes does not do it again.
class TuneState {
 public:
  TuneState(fs::path file, nlohmann::json state) : file_(std::move(file)), state_(std::move(state)) {}
  static TuneState load(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    nlohmann::json state = detail::try_json(std::string(std::istreambuf_iterator<char>(in), {}));
    if (!state.is_object() || !state.contains("done") || !state["done"].is_array() || !state.contains("sizes"))
      throw std::runtime_error(file.string() + ": must say what was done, is damaged; begin anew with --output");
    return {file, std::move(state)};
  }
  bool done(const std::string& step) const {
    const auto& list = state_["done"];
    return std::find(list.begin(), list.end(), step) != list.end();
  }
  void add(const std::string& step) {
    state_["done"].push_back(step);
    save();
  }
  void save() const { write_file_atomically(file_, state_.dump(1) + "\n"); }
  nlohmann::json& content() { return state_; }

 private:
  fs::path file_;
  nlohmann::json state_;
};

fs::path tuning_folder_from(const po::variables_map& values) {
  if (values.contains("output") == values.contains("resume"))
    throw std::invalid_argument("--output: must be given for a new tuning, or --resume for an old one; exactly one of them");
  const bool resume = values.contains("resume");
  const fs::path folder = values[resume ? "resume" : "output"].as<std::string>();
  std::error_code ignored;
  if (!resume && fs::exists(folder / kTuneStateFile, ignored))
    throw std::runtime_error("output " + folder.string() + ": holds a tuning already; namm tune --resume " + folder.string() +
                             " goes on with it, or choose another folder");
  if (!resume && fs::exists(folder, ignored) && !fs::is_empty(folder, ignored))
    throw std::runtime_error("output " + folder.string() + ": must be a new or empty folder, is not; choose another");
  return folder;
}

Tuning tuning_from(const po::variables_map& values) {
  Tuning out;
  const ModelOptions model = model_from(values);
  out.folder = tuning_folder_from(values);
  out.model = model.model;
  out.workers = model.workers;
  out.threads = model.threads;
  const Budget budget = parse_budget(values["budget"].as<std::string>());
  if (budget.unit == Budget::Unit::unlimited)
    throw std::invalid_argument("--budget: must be a budget to tune for, is none; for example --budget 25%");
  warn_of_few_tokens({&budget, 1});
  out.budget = to_string(budget);
  if (values.contains("data")) out.data = values["data"].as<std::string>();
  out.seed = values["seed"].as<std::uint64_t>();
  out.quiet = values.contains("quiet");
  if (out.seed > 1'000'000'000)
    throw std::invalid_argument("--seed: must be at most 1000000000, is " + std::to_string(out.seed) + "; give less");
  return out;
}

/// Seconds that all workers together take to read a token, measured on the machine as it is now.
double seconds_per_token(const Tuning& tuning) {
  const auto model = llama::LlamaModel::load(tuning.model);
  ModelOptions options;
  options.threads = tuning.threads;
  options.stop = &interrupted();
  const auto host = host_factory(model, options, 256)();
  double seconds = 0;
  until_interrupted([&] { seconds = eval::seconds_per_token(*host, 64); });
  if (interrupted())
    throw std::runtime_error("tune: stopped before the first step; nothing is written, the same command begins it");
  return seconds / tuning.workers;
}

TuneSizes sizes_for(const Tuning& tuning, double minutes) {
  const double seconds_each = seconds_per_token(tuning);
  const TuneSizes out = minutes > 0 ? sizes_within(minutes * 60 / seconds_each) : TuneSizes();
  const double needed = tokens_of(out) * seconds_each;
  std::fprintf(stderr, "%s, %s evolution%s, %d prompts per task and length: about %s\n",
               (std::to_string(out.texts) + " texts").c_str(), out.seeds > 0 ? std::to_string(out.seeds).c_str() : "no",
               out.seeds == 1 ? "" : "s", out.test, format_seconds(needed).c_str());
  if (minutes > 0 && needed > minutes * 60)
    spdlog::warn("--minutes: {:g} are too few for this model and machine, the least that makes sense is taken; give more workers",
                 minutes);
  return out;
}

/// The calibrated policy without recency: where evolution begins (docs/calibrate.md, "Evolved on top").
void write_plain(const Tuning& tuning) {
  PolicyFile file = load_policy_file(tuning.calibrated() / kPolicyFileName);
  const auto* const probe = dynamic_cast<const KeyProbePolicy*>(file.policy.get());
  if (probe == nullptr) throw std::runtime_error(tuning.calibrated().string() + ": must hold a calibrated policy, does not");
  file.policy = std::make_shared<KeyProbePolicy>(probe->probe(), 0.0f);
  file.provenance["recency"] = 0;
  save_policy_file(tuning.plain(), file);
}

/// Chooses, writes policy.json and keeps it as the model's own for this budget.
void write_chosen(const Tuning& tuning) {
  const TuneChoice choice = choose(tuning);
  PolicyFile file = load_policy_file(choice.averaged ? tuning.averaged() : tuning.calibrated() / kPolicyFileName);
  file.selection.budget = parse_budget(tuning.budget);
  file.selection.mode = SelectionMode::pooled;
  file.provenance["model"] = load_policy_file(tuning.calibrated() / kPolicyFileName).provenance["model"];
  file.provenance["tuned"] = {{"budget", tuning.budget}, {"chosen", choice.averaged ? "evolved on top" : "calibrated"},
                              {"why", choice.why},       {"sizes", to_json(tuning.sizes)},
                              {"date", today()},         {"version", version()},
                              {"commit", commit()}};
  file.provenance["date"] = today();
  save_policy_file(tuning.chosen(), file);
  std::printf("chosen: %s (%s)\n", choice.averaged ? "calibrated, then evolved" : "calibrated", choice.why.c_str());
  try {
    ModelPolicies().keep(llama::model_key(tuning.model), tuned_name(file.selection.budget), file);
    std::printf("kept as this model's own for %s ('namm policies')\n", tuning.budget.c_str());
  } catch (const std::exception& error) {
    spdlog::warn("{}; the policy is not kept as this model's own", error.what());
  }
  std::fflush(stdout);
}

struct Step {
  std::string name;
  std::function<int()> run;
};

/// One command of this program. What was begun and left is gone on with.
int run_words(const std::vector<std::string>& words) {
  for (const Command& command : commands())
    if (command.name == words.front()) return command.run({words.begin() + 1, words.end()});
  throw std::logic_error("tune: no command " + words.front());
}

std::vector<Step> steps_of(const Tuning& tuning) {
  const auto exists = [](const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
  };
  const auto resumed = [&tuning](const char* command, const fs::path& folder) {
    std::vector<std::string> words = {command, "--resume", folder.string()};
    if (tuning.quiet) words.emplace_back("--quiet");
    return words;
  };
  std::vector<Step> out;
  out.push_back({"calibrate", [=, &tuning] {
                   const fs::path folder = tuning.calibrated();
                   if (exists(folder / "calibration.state")) return run_words(resumed("calibrate", folder));
                   return exists(folder / kPolicyFileName) ? 0 : run_words(calibrate_words(tuning));
                 }});
  for (int i = 1; i <= tuning.sizes.seeds; ++i)
    out.push_back({"evolve " + std::to_string(i), [=, &tuning] {
                     if (!exists(tuning.plain())) write_plain(tuning);
                     const fs::path folder = tuning.offsets(i);
                     return run_words(exists(folder / "checkpoint.json") ? resumed("evolve", folder) : evolve_words(tuning, i));
                   }});
  if (tuning.sizes.seeds > 1) out.push_back({"average", [&tuning] { return run_words(average_words(tuning)); }});
  if (tuning.sizes.seeds > 0) out.push_back({"validate", [&tuning] { return run_words(validate_words(tuning)); }});
  out.push_back({"choose", [&tuning] { return write_chosen(tuning), 0; }});
  out.push_back({"test", [&tuning] { return run_words(test_words(tuning)); }});
  out.push_back({"report", [&tuning] { return run_words(report_words(tuning)); }});
  return out;
}

/// What the tuning was begun with stands for what the command line leaves out, the model above all.
void take_recorded_tuning(const po::options_description& options, po::variables_map& values) {
  if (!values.contains("resume")) return;
  const fs::path folder = values["resume"].as<std::string>();
  std::error_code ignored;
  if (!fs::exists(folder / kTuneStateFile, ignored))
    throw std::runtime_error("--resume " + folder.string() + ": holds no tuning to go on with; begin one with --output");
  if (fs::exists(folder / kTuneOptionsFile, ignored))
    apply_run_config(load_run_config(folder / kTuneOptionsFile, options, {}), 0, options, values);
}

}  // namespace

int run_tune(const std::vector<std::string>& arguments) {
  const po::options_description options = tune_options();
  const auto values =
      parse(arguments, options, "namm tune --model FILE --budget B --output DIR [options]",
            "Makes the best policy it can for a model and a budget: calibrates, evolves what each KV head is worth on top, three "
            "times, averages, and keeps that only if it validates better on tasks that it was not evolved on.\n"
            "Writes the policy, what it costs on fresh prompts beside other policies, and a page; run, eval and attach use the "
            "policy from then on. Ctrl-C keeps what there is, --resume goes on.",
            {}, [&](po::variables_map& given) { take_recorded_tuning(options, given); });
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  Tuning tuning = tuning_from(*values);
  const bool resume = values->contains("resume");
  const double minutes = (*values)["minutes"].as<double>();
  if (!(minutes >= 0 && minutes <= 1e6)) throw std::invalid_argument("--minutes: must be from 0 to 1000000; 0 is no limit");
  TuneState state = resume ? TuneState::load(tuning.folder / kTuneStateFile) : TuneState(tuning.folder / kTuneStateFile, {});
  if (resume) {
    tuning.sizes = sizes_from_json(state.content()["sizes"]);
  } else {
    tuning.sizes = sizes_for(tuning, minutes);
    std::error_code failed;
    fs::create_directories(tuning.folder, failed);
    if (failed) throw std::runtime_error("output " + tuning.folder.string() + ": cannot be made: " + failed.message());
    write_file_atomically(tuning.folder / kTuneOptionsFile, run_config_of(*values, options, kOfTuneCall).dump(1) + "\n");
    state.content() = {{"sizes", to_json(tuning.sizes)}, {"done", nlohmann::json::array()}};
    state.save();
  }
  const std::vector<Step> steps = steps_of(tuning);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (state.done(steps[i].name)) continue;
    if (!tuning.quiet) std::fprintf(stderr, "== %zu/%zu %s\n", i + 1, steps.size(), steps[i].name.c_str());
    if (interrupted() || steps[i].run() != 0) {
      std::printf("go on with: %s\n", again("tune", {}, {"--resume", tuning.folder.string()}).c_str());
      return 1;
    }
    state.add(steps[i].name);
  }
  std::printf("policy: %s\npage: %s\n", tuning.chosen().c_str(), tuning.page().c_str());
  return 0;
}

}  // namespace namm::cli
