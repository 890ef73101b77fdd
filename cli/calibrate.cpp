#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "adapters/llama_cpp/model_key.hpp"
#include "base/atomic_file.hpp"
#include "base/date.hpp"
#include "base/format.hpp"
#include "base/json_fields.hpp"
#include "base/version.hpp"
#include "calibrate/run.hpp"
#include "cli/again.hpp"
#include "cli/calibrate_sources.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/progress_bar.hpp"
#include "cli/run_config.hpp"
#include "core/model_policies.hpp"
#include "core/policies/key_probe.hpp"
#include "eval/evaluation.hpp"
#include "eval/fingerprint.hpp"
#include "eval/model_fingerprint.hpp"

namespace namm::cli {
namespace {

constexpr const char* kLengths = "512,512,1024,2048";
constexpr const char* kStateFile = "calibration.state";
constexpr const char* kOptionsFile = "run.json";  // read back by --resume, as evolve's is
constexpr std::string_view kOfCall[] = {"output", "resume", "quiet", "verbose", "help", "help-all"};

po::options_description calibrate_options() {
  po::options_description options("Options", 100);
  options.add_options()("output,o", po::value<std::string>()->value_name("DIR"),
                        "new folder for policy.json and calibration.json");
  options.add_options()(
      "format", po::value<std::string>()->default_value("json")->value_name("NAME"),
      "of the policy: json (policy.json) or safetensors (policy.safetensors: for millions of numbers, four times "
      "as many, loaded in milliseconds)");
  options.add_options()("resume", po::value<std::string>()->value_name("DIR"),
                        "continues the calibration in this folder (same settings, taken from its run.json)");
  add_model(options, 1);
  options.add_options()(
      "target", po::value<std::string>()->default_value("reconstruction")->value_name("NAME"),
      "whose attention makes a token worth keeping: reconstruction (the model repeats the text; no labels), later "
      "(the text's own later tokens), planted (the program hides facts and asks for them; no labels), answers "
      "(of --tasks or --data)");
  options.add_options()(
      "input", po::value<std::string>()->default_value("layer")->value_name("NAME"),
      "what a probe reads of a token: key (its head's own key) or layer (keys and values of all KV heads of the "
      "layer: better, and larger)");
  options.add_options()("read-out", po::value<std::string>()->default_value("quadratic")->value_name("NAME"),
                        "what a probe is a function of: quadratic (what it reads and the squares of it) or linear (a quarter "
                        "of the memory to fit, half the work to use)");
  options.add_options()(
      "value-weight", po::value<double>()->default_value(1, "1")->value_name("W"),
      "how much the size of a token's value counts beside its attention: 1 weighs a token by what it can add to "
      "the head's output, 0 by attention alone");
  options.add_options()(
      "recency", po::value<float>()->default_value(2, "2")->value_name("R"),
      "how much less a token is worth beside the others of its head the older it is, 0 to 4: divided by (1 + age / 64) to the "
      "power R times how evenly the head attends (0 to 1); 0 leaves the age out");
  options.add_options()("texts", po::value<int>()->default_value(60)->value_name("N"),
                        "made-up texts: prose, facts, dialogue, records, code, lists, log, markup, table, refrain, in turns");
  options.add_options()("data", po::value<std::string>()->value_name("FILE"),
                        "texts or prompts of your own (text, JSON lines) besides the made-up ones");
  options.add_options()("tasks", po::value<std::string>()->value_name("A,B"),
                        "contexts of these tasks instead of made-up texts (their training split)");
  options.add_options()("length", po::value<std::string>()->default_value(kLengths)->value_name("N,M"),
                        "lengths of the texts in the model's tokens, taken in turns; the default ones are shortened where a text "
                        "and what follows it are longer than what the model was trained for");
  options.add_options()("budget,b", po::value<std::string>()->default_value("25%")->value_name("B"),
                        "the policy's default budget");
  add_memory(options);
  options.add_options()("no-chat", "do not apply the model's chat template");
  options.add_options()("no-keep",
                        "do not keep the policy as the model's own (namm policies), which run, eval and attach use where "
                        "none is named");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of the texts");
  options.add_options()("save-every", po::value<int>()->default_value(30)->value_name("SECONDS"),
                        "how often what is recorded is saved, for --resume; 0 = after every text");
  add_general(options);
  return options;
}

/// "policy.json" or "policy.safetensors"
std::string policy_name_from(const po::variables_map& values) {
  const auto format = values["format"].as<std::string>();
  if (format == "json") return kPolicyFileName;
  if (format == "safetensors") return kBinaryPolicyFileName;
  throw std::invalid_argument("--format: must be json or safetensors, is \"" + format + "\"");
}

/// A policy that no command could read is not worth the work.
void check_size(const calibrate::ProbeSettings& probe, const HostDescription& host, const std::string& policy_name) {
  const std::size_t numbers = calibrate::ProbeFit::probe_numbers(probe, host);
  const bool binary = policy_name == kBinaryPolicyFileName;
  const std::size_t most = binary ? kMostBinaryPolicyNumbers : kMostPolicyNumbers;
  if (numbers <= most) return;
  const bool key = probe.input == ProbeInput::key, linear = probe.read_out == calibrate::ReadOut::linear;
  throw std::invalid_argument("calibrate: the probes of a model must have at most " + std::to_string(most) +
                              " numbers to fit into a policy file, have " + std::to_string(numbers) + " with --input " +
                              std::string(to_string(probe.input)) + " --read-out " +
                              std::string(calibrate::to_string(probe.read_out)) +
                              (!binary && numbers <= kMostBinaryPolicyNumbers ? "; give --format safetensors"
                               : key && linear                                ? "; the model is too large for probes"
                               : key                                          ? "; give --read-out linear"
                                     : "; give --input key, or --read-out linear if that halves it enough"));
}

/// What it will cost, measured on a few tokens.
void print_estimate(Host& host, const calibrate::Settings& settings, const calibrate::Plan& plan, int workers) {
  const double seconds_each = eval::seconds_per_token(host, plan.longest);
  double numbers = 0;
  for (const LayerDescription& layer : host.description().cached)
    numbers += layer.kv_heads * (layer.key_size + (settings.probe.input == ProbeInput::layer ? layer.value_size : 0) + 2);
  // what the others have read waits for the worker with the longest text
  const double bytes = calibrate::ProbeFit::bytes(settings.probe, host.description(), plan.longest_context) +
                       numbers * static_cast<double>(plan.longest_context) * sizeof(float) * 2 * workers;
  std::fprintf(stderr, "%zu texts, %lld tokens: about %s, %s beside the model and its cache\n", settings.sources.size(),
               static_cast<long long>(plan.tokens),
               format_seconds(static_cast<double>(plan.tokens) * seconds_each / workers).c_str(), format_bytes(bytes).c_str());
}

/// What the fit is worth. It is measured on texts that were left out of it, of which one text has none.
std::string explained_text(double explained) {
  if (std::isfinite(explained)) return format_number("%.0f", 100 * explained) + " % of the variance explained on held-out texts";
  return "too few texts to hold one out, so that nothing is known of how good it is; give more --texts, or a longer --data";
}

/// Of the work behind the first `before` texts, which differ in length.
double share_recorded(const calibrate::Settings& settings, std::size_t before, std::size_t done) {
  const auto tokens = [&](std::size_t first, std::size_t last) {
    double out = 0;
    for (std::size_t i = first; i < last; ++i) out += static_cast<double>(settings.lengths[i % settings.lengths.size()]);
    return out;
  };
  const double all = tokens(before, settings.sources.size());
  return all > 0 ? tokens(before, done) / all : 1;
}

nlohmann::json summary_of(const calibrate::Outcome& outcome, const nlohmann::json& identity, float recency, double seconds) {
  return {{"settings", identity},
          {"recency", detail::number_of(recency)},
          {"evenness", detail::numbers_of(outcome.fit.evenness)},
          {"texts", outcome.recordings},
          {"penalty", outcome.fit.penalty},
          {"explained", outcome.fit.explained},
          {"explained_by_layer", outcome.fit.by_layer},
          {"seconds", seconds},
          {"peak_rss_bytes", eval::peak_resident_bytes()},
          {"version", version()},
          {"commit", commit()}};
}

calibrate::Settings calibration_from(const po::variables_map& values) {
  if (values.contains("output") == values.contains("resume"))
    throw std::invalid_argument("--output: must be given for a new calibration, or --resume for an old one; exactly one of them");
  calibrate::Settings out;
  out.target = calibrate::parse_target(values["target"].as<std::string>());
  out.probe.input = parse_probe_input(values["input"].as<std::string>());
  out.probe.read_out = calibrate::parse_read_out(values["read-out"].as<std::string>());
  out.probe.value_weight = values["value-weight"].as<double>();
  calibrate::check(out.probe);
  KeyProbePolicy::check_recency(values["recency"].as<float>());  // now, not behind the work
  out.chat_template = !values.contains("no-chat");
  out.seed = values["seed"].as<std::uint64_t>();
  out.resume = values.contains("resume");
  require_at_least("--save-every", values["save-every"].as<int>(), 0);
  out.save_every = std::chrono::seconds(values["save-every"].as<int>());
  for (const std::string& text : split_list(values["length"].as<std::string>(), "--length"))
    out.lengths.push_back(parse_length(text));
  return out;
}

[[noreturn]] void refuse_to_resume(const std::filesystem::path& folder) {
  throw std::runtime_error("output " + folder.string() + ": there is no calibration to resume; start one with --output");
}

/// What a resumed calibration was begun with stands for what the command line leaves out, the model above all.
void take_recorded(const po::options_description& options, po::variables_map& values) {
  if (!values.contains("resume")) return;
  const std::filesystem::path folder = values["resume"].as<std::string>();
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kStateFile, ignored)) refuse_to_resume(folder);
  if (std::filesystem::exists(folder / kOptionsFile, ignored))
    apply_run_config(load_run_config(folder / kOptionsFile, options, {}), 0, options, values);
}

/// The folder, which need not exist yet. Refused if it holds what would be lost, or lacks what is to be resumed.
std::filesystem::path folder_from(const po::variables_map& values, bool resume) {
  const std::filesystem::path folder = values[resume ? "resume" : "output"].as<std::string>();
  const bool unfinished = std::filesystem::exists(folder / kStateFile);
  if (resume && !unfinished) refuse_to_resume(folder);
  if (!resume && unfinished)
    throw std::runtime_error("output " + folder.string() + ": holds an unfinished calibration; `namm calibrate --resume " +
                             folder.string() + "` goes on with it, or choose another folder");
  if (!resume && policy_file_in(folder) != folder)
    throw std::runtime_error("output " + folder.string() + ": holds a policy already; `namm eval --policy " + folder.string() +
                             "` measures it, or choose another folder");
  return folder;
}

/// What a resumed calibration must agree on, and where a policy comes from.
nlohmann::json identity_of(const po::variables_map& values, const calibrate::Settings& settings, const std::string& model) {
  const auto text = [&](const char* name) { return values.contains(name) ? values[name].as<std::string>() : std::string(); };
  nlohmann::json out = {{"model", model},
                        {"target", calibrate::to_string(settings.target)},
                        {"input", to_string(settings.probe.input)},
                        {"read_out", to_string(settings.probe.read_out)},
                        {"value_weight", settings.probe.value_weight},
                        {"texts", settings.sources.size()},
                        {"lengths_tokens", settings.lengths},
                        {"chat_template", settings.chat_template},
                        {"data", text("data")},
                        {"tasks", text("tasks")},
                        {"seed", settings.seed}};
  out["model_bytes"] = std::filesystem::file_size(text("model"));
  out["model_hash"] = eval::model_fingerprint(text("model"));
  if (values.contains("data")) out["data_content"] = eval::file_fingerprint(text("data"));
  return out;
}

void write_policy(const std::filesystem::path& path, const calibrate::Outcome& outcome, float recency, const CachePolicy& memory,
                  const nlohmann::json& identity, const std::string& architecture) {
  PolicyFile file;
  file.policy = std::make_shared<KeyProbePolicy>(outcome.fit.probe, recency, outcome.fit.evenness);
  file.selection = memory.selection;
  file.interval_tokens = memory.interval_tokens;
  file.provenance = identity;
  file.provenance.update({{"recency", detail::number_of(recency)},
                          {"architecture", architecture},
                          {"recorded", outcome.recordings},
                          {"date", today()},
                          {"version", version()},
                          {"commit", commit()}});
  save_policy_file(path, file);
  load_policy_file(path);  // what was recorded is removed only once its policy can be read
}

/// Without it the recency is without effect.
void warn_of_no_evenness(const std::vector<float>& evenness) {
  if (std::all_of(evenness.begin(), evenness.end(), [](float head) { return head == 0; }))
    spdlog::warn("length: texts must have {} tokens or more for the age of tokens to count, have fewer; give longer ones",
                 calibrate::Recorder::kSinks + calibrate::Evenness::kFewest);
}

/// A policy that lies in its folder is made, whether or not it can be kept.
void keep_as_own(const std::filesystem::path& policy, const std::filesystem::path& model) {
  try {
    ModelPolicies().keep(llama::model_key(model), kCalibratedName, load_policy_file(policy), policy.extension().string());
    std::printf("kept as this model's own: run, eval and attach use it where no policy is named ('namm policies')\n");
  } catch (const std::exception& error) {
    spdlog::warn("{}; the policy is not kept as this model's own", error.what());
  }
}

}  // namespace

int run_calibrate(const std::vector<std::string>& arguments) {
  const po::options_description options = calibrate_options();
  const auto values = parse(
      arguments, options, "namm calibrate --model FILE --output DIR [options]",
      "Fits, in closed form, what a token of this model will add to the output of a head, from its key and value: the "
      "policy `key-probe`, ready for run, eval and evolve.\nWhat is recorded is saved every half minute (--save-every); Ctrl-C "
      "keeps what there is, --resume goes on.",
      {}, [&](po::variables_map& given) { take_recorded(options, given); });
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  ModelOptions model_options = model_from(*values);
  model_options.stop = &interrupted();
  calibrate::Settings settings = calibration_from(*values);
  PolicyFile defaults;
  defaults.selection.mode = SelectionMode::pooled;
  const CachePolicy memory = make_memory(defaults, memory_from(*values), budget_from(*values));
  const std::filesystem::path folder = folder_from(*values, settings.resume);
  const std::string policy_name = policy_name_from(*values);
  settings.state = folder / kStateFile;

  warn_of_few_tokens({&memory.selection.budget, 1});
  const auto model = load_model(model_options);
  drop_unknown_template(*model, settings.chat_template);
  const std::unique_ptr<Host> tokeniser = host_factory(model, {}, 256)();
  add_sources(*values, *tokeniser, settings);
  // lengths of our own fit the model; those that were asked for are taken as they are, with a warning
  const calibrate::Plan plan = (*values)["length"].as<std::string>() == kLengths
                                   ? calibrate::plan_within_training(*tokeniser, settings)
                                   : calibrate::plan(*tokeniser, settings);
  HostPool pool(host_factory(model, model_options, static_cast<int>(plan.longest) + 1), model_options.workers);
  const HostDescription& host = pool.host().description();
  check_size(settings.probe, host, policy_name);
  settings.identity = identity_of(*values, settings, host.model);
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw std::runtime_error("output " + folder.string() + ": cannot be made: " + failed.message());
  if (!settings.resume)  // whoever resumes may give what is refused below
    write_file_atomically(folder / kOptionsFile, run_config_of(*values, options, kOfCall).dump(1) + "\n");
  const bool quiet = values->contains("quiet");
  if (!quiet) until_interrupted([&] { print_estimate(pool.host(), settings, plan, model_options.workers); });

  ProgressBar bar(!quiet);
  std::optional<std::size_t> before;  // recorded by the call that is resumed
  const auto start = std::chrono::steady_clock::now();
  const calibrate::Outcome outcome = calibrate::run(
      settings, pool,
      [&](std::size_t done, std::size_t all) {
        if (!before) before = done;
        bar.show(done < all ? "recording" : "fitting", done, all, share_recorded(settings, *before, done));
      },
      &interrupted());
  bar.clear();
  if (outcome.recordings == 0)
    throw std::runtime_error(
        "calibrate: stopped before the first text was recorded; nothing of it is kept, the same command begins it again");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  warn_of_no_evenness(outcome.fit.evenness);
  const auto recency = (*values)["recency"].as<float>();
  write_policy(folder / policy_name, outcome, recency, memory, settings.identity, host.architecture);
  // what an earlier call left in the other form is less than this
  std::filesystem::remove(folder / (policy_name == kPolicyFileName ? kBinaryPolicyFileName : kPolicyFileName), failed);
  write_file_atomically(
      folder / "calibration.json",
      summary_of(outcome, settings.identity, recency, seconds).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n");
  std::printf("%s %zu of %zu texts in %s, peak memory %s: %s\n", outcome.stopped ? "stopped after" : "calibrated on",
              outcome.recordings, settings.sources.size(), format_seconds(seconds).c_str(),
              format_bytes(static_cast<double>(eval::peak_resident_bytes())).c_str(),
              explained_text(outcome.fit.explained).c_str());
  std::printf("policy: %s\n", (folder / policy_name).c_str());
  if (outcome.stopped && says_how_to_go_on()) {
    constexpr std::string_view kFolder[] = {"output", "resume"};
    // what a first call was given stands in the folder
    const auto given = settings.resume ? without(arguments, options, kFolder) : std::vector<std::string>();
    std::printf("go on with: %s\n", again("calibrate", given, {"--resume", folder.string()}).c_str());
  }
  const bool keeps = !outcome.stopped && !values->contains("no-keep");
  if (keeps && !std::isfinite(outcome.fit.explained))
    std::printf("not kept as this model's own: nothing is known of how good it is\n");
  else if (keeps)
    keep_as_own(folder / policy_name, model_options.model);
  std::fflush(stdout);
  if (!outcome.stopped) std::filesystem::remove(settings.state, failed);
  return outcome.stopped ? 1 : 0;
}

}  // namespace namm::cli
