#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/format.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/run_config.hpp"
#include "cli/tune/split.hpp"
#include "cli/tune/state.hpp"
#include "cli/tune/steps.hpp"
#include "eval/evaluation.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTuneOptionsFile = "run.json";
constexpr std::string_view kOfTuneCall[] = {"output", "resume", "quiet", "verbose", "help", "help-all"};

po::options_description tune_options() {
  po::options_description options("Options", 100);
  options.add_options()("output,o", po::value<std::string>()->value_name("DIR"),
                        "new folder for policy.json, what led to it, and report.html")(
      "resume", po::value<std::string>()->value_name("DIR"), "continues the tuning in this folder; needs no other option");
  add_model(options, 1);
  options.add_options()("budget,b", po::value<std::string>()->default_value("25%")->value_name("B"),
                        "the budget to tune for: 25%, 256 (tokens per head), 64MiB, 12.5%bytes")(
      "store", po::value<std::string>()->value_name("TYPE"),
      "how keys and values are held: f16, q8_0, q4_0, keys and values apart (q8_0,q4_0), with +4means behind it (f16+4means) "
      "four entries per KV head stand for what was evicted; or auto, which compares what these do with the budget and takes the "
      "best; default: auto for budgets in bytes, else f16")(
      "minutes", po::value<double>()->default_value(0)->value_name("T"),
      "about how long it may take: every step is made as large as fits; 0 = the full size of each, however long")(
      "data", po::value<std::string>()->value_name("FILE"),
      "texts or prompts of your own (text, JSON lines), to calibrate on besides the made-up ones")(
      "seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of texts, prompts and evolution");
  add_general(options);
  return options;
}

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

/// The name as it is written, or kAutoStore.
std::string store_from(const po::variables_map& values, const Budget& budget) {
  if (!values.contains("store")) return is_of_bytes(budget) ? kAutoStore : kDefaultStore;
  const std::string given = values["store"].as<std::string>();
  if (given == kAutoStore) return given;
  try {
    return to_string(parse_row_formats(given));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("--" + std::string(error.what()) + ", or auto");
  }
}

Tuning tuning_from(const po::variables_map& values) {
  Tuning out;
  const ModelOptions model = model_from(values);
  out.folder = tuning_folder_from(values);
  out.model = model.model;
  out.workers = model.workers;
  out.threads = model.threads;
  out.offload = model.offload;
  const Budget budget = budget_from(values);
  if (budget.unit == Budget::Unit::unlimited)
    throw std::invalid_argument("--budget: must be a budget to tune for, is none; for example --budget 25%");
  out.budget = to_string(budget);
  out.store = store_from(values, budget);
  const bool compared = out.store == kAutoStore && !compared_stores(budget).empty();
  if (const std::string why = why_not_held(budget, out.store == kAutoStore ? kDefaultStore : out.store);
      !compared && !why.empty())
    throw std::invalid_argument("--" + why);
  warn_of_few_tokens({&budget, 1});
  if (values.contains("data")) out.data = values["data"].as<std::string>();
  out.seed = values["seed"].as<std::uint64_t>();
  out.quiet = values.contains("quiet");
  if (out.seed > 1'000'000'000)
    throw std::invalid_argument("--seed: must be at most 1000000000, is " + std::to_string(out.seed) + "; give less");
  return out;
}

/// Seconds that all workers together take to read a token, measured on the machine as it is now.
double seconds_per_token(const Tuning& tuning) {
  const auto model = llama::LlamaModel::load(tuning.model, tuning.offload);
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
  const int compared = tuning.store == kAutoStore ? compared_passes(parse_budget(tuning.budget)) : 0;
  const TuneSizes out = minutes > 0 ? sizes_within(minutes * 60 / seconds_each, compared) : TuneSizes();
  const double needed = tokens_of(out, compared) * seconds_each;
  std::fprintf(stderr, "%s, %s evolution%s, %d prompts per task and length: about %s\n",
               (std::to_string(out.texts) + " texts").c_str(), out.seeds > 0 ? std::to_string(out.seeds).c_str() : "no",
               out.seeds == 1 ? "" : "s", out.test, format_seconds(needed).c_str());
  if (minutes > 0 && needed > minutes * 60)
    spdlog::warn("--minutes: {:g} are too few for this model and machine, the least that makes sense is taken; give more workers",
                 minutes);
  return out;
}

/// What the tuning was begun with stands for what the command line leaves out, the model above all.
void take_recorded_tuning(const po::options_description& options, po::variables_map& values) {
  if (!values.contains("resume")) return;
  const fs::path folder = values["resume"].as<std::string>();
  std::error_code ignored;
  if (!fs::exists(folder / kTuneStateFile, ignored))
    throw std::runtime_error("--resume " + folder.string() + ": holds no tuning to go on with; begin one with --output");
  if (!fs::exists(folder / kTuneOptionsFile, ignored)) return;
  const RunConfig recorded = load_run_config(folder / kTuneOptionsFile, options, {});
  if (values.contains("store")) {  // steps that are done went by the recorded one
    po::variables_map before;
    apply_run_config(recorded, 0, options, before);
    const Budget budget = budget_from(before);
    const std::string wanted = store_from(values, budget), begun = store_from(before, budget);
    if (wanted != begun)
      throw std::invalid_argument("--store: must be " + begun + ", as when " + folder.string() + " was begun, is " + wanted +
                                  "; leave it out, or begin another tuning");
  }
  apply_run_config(recorded, 0, options, values);
}

/// A step that was stopped before it had anything to keep says so by an exception; the tuning goes on from there all the same.
int run_to_stop(const TuneStep& step) {
  try {
    return step.run();
  } catch (const std::exception& error) {
    if (!interrupted()) throw;
    std::fprintf(stderr, "namm: %s\n", error.what());
    return 1;
  }
}

}  // namespace

int run_tune(const std::vector<std::string>& arguments) {
  const po::options_description options = tune_options();
  const auto values = parse(
      arguments, options, "namm tune --model FILE --budget B --output DIR [options]",
      "Makes the best policy it can for a model and a budget: calibrates, evolves what each KV head is worth on top, three "
      "times, averages, and keeps that only if it validates better on tasks that it was not evolved on. Of a budget in bytes "
      "it first finds out whether more tokens or more bits are the better use.\n"
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
  const std::vector<TuneStep> steps = steps_of(tuning);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (state.done(steps[i].name)) continue;
    if (!tuning.quiet) std::fprintf(stderr, "== %zu/%zu %s\n", i + 1, steps.size(), steps[i].name.c_str());
    if (interrupted() || run_to_stop(steps[i]) != 0) {
      std::printf("go on with: %s\n", again("tune", {}, {"--resume", tuning.folder.string()}).c_str());
      return 1;
    }
    state.add(steps[i].name);
  }
  std::printf("policy: %s\npage: %s\n", tuning.chosen().c_str(), tuning.page().c_str());
  return 0;
}

}  // namespace namm::cli
