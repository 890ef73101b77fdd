#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "base/date.hpp"
#include "base/format.hpp"
#include "base/version.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/progress_bar.hpp"
#include "cli/trace_heads.hpp"
#include "eval/evaluation.hpp"
#include "eval/model_fingerprint.hpp"
#include "evolve/prompt_plan.hpp"
#include "evolve/recording.hpp"
#include "trace/reader.hpp"
#include "trace/writer.hpp"

namespace namm::cli {
namespace {

po::options_description trace_options() {
  po::options_description options("Options", 100);
  options.add_options()("output,o", po::value<std::string>()->value_name("FILE"), "new file for the trace");
  options.add_options()("resume", po::value<std::string>()->value_name("FILE"),
                        "continues the trace in this file (same settings)");
  add_model(options, 1);
  add_tasks(options, "512");
  options.add_options()("prompts", po::value<int>()->default_value(8)->value_name("N"), "training prompts per task");
  options.add_options()("validation", po::value<int>()->default_value(4)->value_name("N"), "validation prompts per task");
  options.add_options()("interval", po::value<int>()->default_value(128)->value_name("TOKENS"),
                        "tokens between updates; policies are replayed with it or a multiple of it");
  options.add_options()("statistics", po::value<std::string>()->default_value("all")->value_name("NAME"),
                        "all, or sums: without spectrogram and window mean, a fraction of the bytes; enough for the features "
                        "light and probe and for h2o, h2o-mean, tova and knorm");
  options.add_options()("keys", po::value<std::string>()->default_value("f16")->value_name("TYPE"),
                        "how keys and values are stored, which probes read: f16, f32 or none");
  options.add_options()("layers", po::value<std::string>()->default_value("all")->value_name("A,B"),
                        "layers to record: all, every:N, or their numbers");
  options.add_options()("heads", po::value<std::string>()->default_value("all")->value_name("A,B"),
                        "KV heads to record, the same of every layer: all, or their numbers");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of the prompts");
  add_general(options);
  return options;
}

/// Training prompts of all tasks, then validation prompts of all.
std::vector<evolve::PromptChoice> choices_from(const po::variables_map& values, const TaskOptions& tasks) {
  std::vector<evolve::PromptChoice> out;
  const std::pair<tasks::Split, const char*> parts[] = {{tasks::Split::train, "prompts"},
                                                        {tasks::Split::validation, "validation"}};
  for (const auto& [split, option] : parts) {
    const int count = values[option].as<int>();
    require_at_least(std::string("--") + option, count, 0);
    for (std::size_t task = 0; task < tasks.tasks.size(); ++task)
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        out.push_back({task, split, i, tasks.lengths_tokens[i % tasks.lengths_tokens.size()], {}});
  }
  if (out.empty()) throw std::invalid_argument("--prompts: must be at least 1 if --validation is 0, is 0; raise it");
  return out;
}

trace::Settings trace_settings_from(const po::variables_map& values, const TaskOptions& tasks) {
  if (values.contains("output") == values.contains("resume"))
    throw std::invalid_argument("--output: must be given for a new trace, or --resume for an old one; exactly one of them");
  trace::Settings out;
  out.interval_tokens = values["interval"].as<int>();
  require_at_least("--interval", out.interval_tokens, 16);
  require_at_most("--interval", out.interval_tokens, 1 << 24);
  const std::string statistics = values["statistics"].as<std::string>();
  if (statistics != "all" && statistics != "sums")
    throw std::invalid_argument("--statistics: must be all or sums, is \"" + statistics + "\"; choose one");
  out.all_statistics = statistics == "all";
  out.rows = trace::parse_rows(values["keys"].as<std::string>());
  out.question_after = tasks.protocol.question_after;
  out.chat_template = tasks.protocol.chat_template;
  nlohmann::json names = nlohmann::json::array();
  for (const auto& task : tasks.tasks) names.push_back(task->name());
  out.provenance = {{"tasks", names},
                    {"lengths_tokens", tasks.lengths_tokens},
                    {"seed", values["seed"].as<std::uint64_t>()},
                    {"haystack", values["haystack"].as<std::string>()}};
  return out;
}

/// Opens the file behind what it holds already, `done` prompts that must be the first of `prompts`.
std::unique_ptr<trace::Writer> open_file(const po::variables_map& values, const trace::Settings& settings,
                                         std::span<const Prompt> prompts, std::size_t& done) {
  done = 0;
  if (values.contains("output")) return std::make_unique<trace::Writer>(values["output"].as<std::string>(), settings);
  const std::filesystem::path path = values["resume"].as<std::string>();
  const trace::Reader old(path);
  trace::Settings was = old.settings(), now = settings;
  for (trace::Settings* one : {&was, &now})
    for (const char* const changes : {"date", "version", "commit"}) one->provenance.erase(changes);
  if (trace::to_json(was) != nlohmann::json::parse(trace::to_json(now).dump()))
    throw std::runtime_error(path.string() + ": was begun with other settings; give the same ones, or another --output");
  done = old.prompts().size();
  for (std::size_t i = 0; i < done; ++i) {
    const trace::PromptFacts& have = old.prompts()[i].facts;
    if (i >= prompts.size() || have.id != prompts[i].sample.id)
      throw std::runtime_error(path.string() + ": prompt " + std::to_string(i + 1) + " must be the one of these settings, is '" +
                               have.id + "'; give the same --prompts and --validation");
    const trace::PromptFacts wanted = evolve::facts_of(prompts[i], settings.question_after);
    if (have.compressed != wanted.compressed || have.tail != wanted.tail)
      throw std::runtime_error(path.string() + ": prompt '" + have.id +
                               "' must have the tokens that it was begun with, has others now; give the text that --data or "
                               "--haystack had then, or another --output");
  }
  return std::make_unique<trace::Writer>(path, old.whole_bytes());
}

/// What it will cost, measured on a few tokens.
void print_estimate(Host& host, const trace::Settings& settings, std::span<const Prompt> prompts, int workers) {
  std::size_t tokens = 0, longest = 0;
  std::uint64_t bytes = 0;
  for (const Prompt& prompt : prompts) {
    const trace::PromptFacts facts = evolve::facts_of(prompt, settings.question_after);
    longest = std::max(longest, facts.compressed.size() + facts.tail.size());
    tokens += facts.compressed.size() + facts.tail.size();
    bytes += trace::record_bytes(settings, facts.compressed.size());
  }
  std::fprintf(stderr, "%zu prompts, %zu tokens, %zu KV heads: about %s, %s on disk\n", prompts.size(), tokens, settings.heads(),
               format_seconds(static_cast<double>(tokens) * eval::seconds_per_token(host, longest) / workers).c_str(),
               format_bytes(static_cast<double>(bytes)).c_str());
}

}  // namespace

int run_trace(const std::vector<std::string>& arguments) {
  const auto values =
      parse(arguments, trace_options(), "namm trace --model FILE --output FILE [options]",
            "Records, per (layer, KV head) and update, what policies read, keys and values, and the attention that each token "
            "receives from question and answer, with nothing evicted: for 'namm evolve --traces'. A trace never claims live "
            "quality: after the first eviction a live run's attention differs.\n"
            "Every prompt is on disk when it is done; Ctrl-C leaves a valid shorter trace, --resume goes on.");
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  ModelOptions model_options = model_from(*values);
  model_options.stop = &interrupted();
  TaskOptions tasks = tasks_from(*values, tasks::FileSplits::disjoint);
  trace::Settings settings = trace_settings_from(*values, tasks);
  const std::vector<evolve::PromptChoice> choices = choices_from(*values, tasks);

  const auto model = load_model(model_options);
  drop_unknown_template(*model, tasks.protocol.chat_template);
  settings.chat_template = tasks.protocol.chat_template;
  settings.provenance["model_bytes"] = std::filesystem::file_size(model_options.model);
  settings.provenance["model_hash"] = eval::model_fingerprint(model_options.model);
  HostPool tokeniser(host_factory(model, {}, 256), 1);
  auto prompts = evolve::make_prompts(tokeniser, tasks.tasks, choices, (*values)["seed"].as<std::uint64_t>(), tasks.protocol,
                                      &interrupted());
  if (!prompts) throw std::runtime_error("trace: stopped before the first prompt was recorded; nothing is written");
  std::size_t longest = 0;
  for (Prompt& prompt : *prompts) {
    prompt = with_end_as_answer(std::move(prompt));
    longest = std::max(longest, prompt.context.size() + prompt.question.size() + prompt.answer.size());
  }
  HostPool pool(host_factory(model, model_options, static_cast<int>(longest) + 1), model_options.workers);
  settings.host = pool.host().description();
  settings.layers = recorded_layers(settings.host, (*values)["layers"].as<std::string>(), (*values)["heads"].as<std::string>());
  settings.provenance.update({{"date", today()}, {"version", version()}, {"commit", commit()}});
  const bool quiet = values->contains("quiet");
  std::size_t done = 0;
  const auto file = open_file(*values, settings, *prompts, done);
  if (!quiet)
    until_interrupted(
        [&] { print_estimate(pool.host(), settings, std::span<const Prompt>(*prompts).subspan(done), model_options.workers); });

  ProgressBar bar(!quiet);
  const auto start = std::chrono::steady_clock::now();
  bool stopped = false;
  while (done < prompts->size() && !stopped) {
    // recorded side by side, written in their order: the file does not depend on the number of workers
    const std::size_t count = std::min(prompts->size() - done, static_cast<std::size_t>(pool.workers()));
    std::vector<trace::PromptRecord> records(count);
    stopped = !pool.run(
        count,
        [&](std::size_t i, Host& host) {
          records[i] = evolve::record_prompt(host, settings, (*prompts)[done + i]);
          records[i].facts.split = to_string(choices[done + i].split);
        },
        &interrupted());
    for (std::size_t i = 0; i < count && !stopped; ++i) file->append(records[i]);
    if (!stopped) done += count;
    bar.show("recording", done, prompts->size());
  }
  bar.clear();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string path = (*values)[values->contains("output") ? "output" : "resume"].as<std::string>();
  std::printf("%s %zu of %zu prompts in %s\ntrace: %s (%s)\n", stopped ? "stopped after" : "recorded", done, prompts->size(),
              format_seconds(seconds).c_str(), path.c_str(), format_bytes(static_cast<double>(file->bytes())).c_str());
  if (stopped) {
    constexpr std::string_view kFile[] = {"output", "resume"};
    std::printf("go on with: %s\n", again("trace", without(arguments, trace_options(), kFile), {"--resume", path}).c_str());
  }
  std::fflush(stdout);
  return stopped ? 1 : 0;
}

}  // namespace namm::cli
