#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>
#include <stdexcept>

#include "base/json_lines.hpp"
#include "base/version.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/eval_candidates.hpp"
#include "cli/eval_prompts.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/own_policy.hpp"
#include "cli/progress_bar.hpp"
#include "cli/seen_prompts.hpp"
#include "cli/untuned.hpp"
#include "eval/eval_work.hpp"
#include "eval/evaluation.hpp"
#include "eval/fingerprint.hpp"
#include "eval/model_fingerprint.hpp"
#include "eval/resume.hpp"
#include "eval/watched.hpp"
#include "namm/policy.hpp"
#include "report/content.hpp"
#include "report/render.hpp"

namespace namm::cli {
namespace {

/// Where results of the same evaluation have this in common, they can be put side by side.
nlohmann::json settings_of(const po::variables_map& values, const ModelOptions& model, const TaskOptions& tasks) {
  const auto text = [&](const char* name) { return values[name].as<std::string>(); };
  nlohmann::json out = {{"split", split_name(values)},
                        {"compress", text("compress")},
                        {"question_after", tasks.protocol.question_after},
                        {"chat_template", tasks.protocol.chat_template},
                        {"model_bytes", std::filesystem::file_size(text("model"))},
                        {"model_hash", eval::model_fingerprint(text("model"))}};
  // what was given; a policy file's own is the row's
  out["store"] = to_string(memories_from(values).front().store.value_or(RowFormats()));
  // results without these are resumed as they always were
  if (model.holder != llama::CacheHolder::backend) out["attachment"] = text("attachment");
  if (model.holder == llama::CacheHolder::callback) out["cells"] = model.cells;
  if (model.holder != llama::CacheHolder::callback && model.offload.gpu_layers > 0) out["gpu_layers"] = model.offload.gpu_layers;
  if (values.contains("data"))
    out["data"] = eval::file_fingerprint(text("data"));
  else
    out["haystack"] = eval::haystack_fingerprint(text("haystack"));
  return out;
}

/// What one call of the command works with.
struct Session {
  TaskOptions tasks;
  std::vector<Candidate> candidates;  ///< the first is the full cache
  eval::ResultRecord common;          ///< what all records share
  eval::EarlierResults earlier;
  JsonLines& results;
  JsonLines& details;
  std::size_t watched = 0;  ///< prompts per task and length that go into the details
  ProgressBar& bar;
  eval::EvalWork work;  ///< of the whole command
  std::vector<eval::ResultRecord> records = {};
};

eval::ResultRecord record_of(const Session& session, const Candidate& candidate, std::size_t task, std::size_t length) {
  const bool full = !candidate.memory.drops();
  eval::ResultRecord out = session.common;
  out.policy = candidate.name;
  out.task = session.tasks.tasks[task]->name();
  out.length_tokens = static_cast<std::int64_t>(length);
  out.budget = full ? "none" : to_string(candidate.memory.selection.budget);
  out.mode = full ? "" : to_string(candidate.memory.selection.mode);
  out.interval_tokens = candidate.memory.interval_tokens;
  out.store = to_string(candidate.memory.store);
  out.memory = eval::memory_fingerprint(candidate.memory);
  return out;
}

/// Once for every budget and way to hold keys and values, of the shortest prompt.
void warn_of_protected(const Session& session, const Host& host, const std::vector<Prompt>& prompts) {
  std::size_t shortest = prompts.front().context.size();
  for (const Prompt& prompt : prompts) shortest = std::min(shortest, prompt.context.size());
  std::set<std::string> said;
  for (const Candidate& candidate : session.candidates)
    if (said.insert(to_string(candidate.memory.selection.budget) + to_string(candidate.memory.store)).second)
      warn_if_protected_exceed(candidate.memory, host.description(), shortest);
}

/// Every candidate on one task at one length. The full cache is measured first, once, and again only if a resumed evaluation
/// still lacks others. False if interrupted.
bool evaluate_group(Session& session, HostPool& pool, const std::vector<Prompt>& prompts, std::vector<eval::ResultRecord> rows,
                    std::size_t length) {
  std::vector<eval::Measurement> reference;
  std::vector<std::string> units;
  for (const Prompt& prompt : prompts) units.push_back(prompt.sample.unit.empty() ? prompt.sample.id : prompt.sample.unit);
  const std::int64_t cut = report_cut(prompts, length);
  for (std::size_t c = 0; c < rows.size(); ++c) {
    const Candidate& candidate = session.candidates[c];
    eval::ResultRecord& record = rows[c];
    const eval::ResultRecord* const earlier = session.earlier.find(record);
    if (earlier != nullptr && c > 0) {
      session.records.push_back(*earlier);
      continue;
    }
    const std::string label =
        record.task + " " + std::to_string(length) + " " + record.policy + (c == 0 ? "" : " " + record.budget);
    eval::reset_peak_resident();
    const auto memory_of = [&](Host& host, const Prompt& prompt) {
      return candidate.memory_of(host, prompt, session.tasks.protocol);
    };
    auto measured = eval::measure_prompts(pool, memory_of, prompts, session.tasks.protocol, reference, session.watched,
                                          &interrupted(), [&](std::size_t done, std::size_t) {
                                            session.bar.show(label, session.work.done() + done, session.work.all(),
                                                             session.work.share(length, done));
                                          });
    if (!measured) return false;
    session.work.add(length, prompts.size());
    if (c == 0) reference = *measured;
    record.peak_rss_bytes = eval::peak_resident_bytes();
    // also of a full cache that was measured earlier: --details may be another file now, or of more prompts
    const ProtocolSettings& protocol = session.tasks.protocol;
    for (std::size_t i = 0; i < std::min(session.watched, prompts.size()); ++i) {
      if (c == 0) session.details.append(to_json(eval::describe_prompt(pool.host(), prompts[i], protocol, record)));
      session.details.append(to_json(eval::describe_retention(prompts[i], protocol, (*measured)[i], reference[i], record)));
    }
    if (earlier != nullptr) {
      session.records.push_back(*earlier);
      continue;
    }
    eval::summarise(*measured, c == 0 ? std::span<const eval::Measurement>() : reference, units, record);
    record.cut_prompts = cut;
    session.results.append(to_json(record));
    session.records.push_back(std::move(record));
  }
  return true;
}

std::set<std::string> policies_of(const std::vector<Candidate>& candidates) {
  std::set<std::string> out;
  for (const Candidate& candidate : candidates)
    if (candidate.hindsight == nullptr && candidate.name != kOwnPolicyName && candidate.memory.drops())
      out.insert(candidate.name);
  return out;
}

/// What all records share, but for their number of prompts.
eval::ResultRecord common_of(const po::variables_map& values, const llama::LlamaModel& model, const ModelOptions& options,
                             const TaskOptions& tasks) {
  eval::ResultRecord common;
  common.model = model.description().model;
  common.architecture = model.description().architecture;
  common.seed = values["seed"].as<std::uint64_t>();
  common.workers = options.workers;
  common.threads = options.threads;
  common.version = version();
  common.commit = commit();
  common.settings = settings_of(values, options, tasks);
  common.attachment = values["attachment"].as<std::string>();
  return common;
}

std::vector<eval::ResultRecord> rows_of(const Session& session, std::size_t task, std::size_t length) {
  std::vector<eval::ResultRecord> rows;
  for (const Candidate& candidate : session.candidates) rows.push_back(record_of(session, candidate, task, length));
  return rows;
}

/// By the evaluation that is resumed.
bool all_measured(const Session& session, const std::vector<eval::ResultRecord>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const eval::ResultRecord& r) { return session.earlier.find(r); });
}

/// What is to be measured: of every task and length the full cache, unless nothing is missing, and the policies that are.
void plan_work(Session& session, std::size_t prompts) {
  for (std::size_t t = 0; t < session.tasks.tasks.size(); ++t)
    for (const std::size_t length : session.tasks.lengths_tokens) {
      const auto rows = rows_of(session, t, length);
      if (all_measured(session, rows)) continue;
      const auto missing = std::count_if(rows.begin() + 1, rows.end(), [&](const auto& r) { return !session.earlier.find(r); });
      session.work.plan(length, (static_cast<std::size_t>(missing) + 1) * prompts);
    }
  session.bar.show("starting", 0, session.work.all());
}

/// All tasks and lengths; what --resume found is not measured again. False if interrupted.
bool evaluate_all(Session& session, const std::shared_ptr<const llama::LlamaModel>& model, const ModelOptions& options,
                  const std::vector<std::uint64_t>& numbers, tasks::Split split) {
  const HostFactory tokenisers = host_factory(model, tokenising(options), 256);
  int context_tokens = 0;
  std::unique_ptr<HostPool> tokenising = std::make_unique<HostPool>(tokenisers, options.workers), pool;
  for (std::size_t t = 0; t < session.tasks.tasks.size(); ++t)
    for (const std::size_t length : session.tasks.lengths_tokens) {
      std::vector<eval::ResultRecord> rows = rows_of(session, t, length);
      if (all_measured(session, rows)) {
        for (const eval::ResultRecord& row : rows) session.records.push_back(*session.earlier.find(row));
        continue;
      }
      const auto prompts = prompts_of(*tokenising, session.tasks, t, length, numbers, session.common.seed, split);
      if (prompts.empty()) return false;
      if (const int needed = context_needed(prompts, session.candidates); !pool || needed > context_tokens) {
        pool.reset();
        context_tokens = needed;
        pool = std::make_unique<HostPool>(host_factory(model, options, needed), options.workers);
      }
      warn_of_protected(session, pool->host(), prompts);
      if (!evaluate_group(session, *pool, prompts, std::move(rows), length)) return false;
    }
  return true;
}

std::string policy_help() {
  std::string names;
  for (const PolicyEntry& entry : policy_registry()) names.append(names.empty() ? "" : ", ").append(entry.name);
  return "policies: names (" + names +
         "), policy files or folders of runs, own (made for this model: namm policies) or default (the evolved one that comes "
         "with the program); own, if there is one, else default is what is meant without the option. `full` is always measured. "
         "Also expected-attention, and the upper bounds oracle and kvzip: they look at each prompt beforehand";
}

po::options_description describe_options() {
  po::options_description options("Options", 100);
  options.add_options()("policy,p", po::value<std::string>()->value_name("A,B"), policy_help().c_str());
  options.add_options()("budget,b", po::value<std::string>()->default_value("25%")->value_name("B,C"),
                        "budgets: 25% or 0.25, 256 (tokens per head), 64MiB, 12.5%bytes");
  add_model(options, 1);
  add_memory(options, true);
  add_store(options);
  add_cache_holder(options);
  add_tasks(options, "512");
  options.add_options()("samples,n", po::value<int>()->default_value(20)->value_name("N"),
                        "prompts per task and length; of --data all without the option, else drawn by --seed");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of the prompts");
  options.add_options()("split", po::value<std::string>()->default_value("test")->value_name("NAME"),
                        "train, validation or test; of --data also `all`, which is meant without the option");
  options.add_options()(
      "compress", po::value<std::string>()->default_value("chunked")->value_name("WHEN"),
      "chunked: the cache is brought to its budget every --interval tokens, which bounds memory; once: the whole "
      "context is read first, as most papers and kvpress do");
  options.add_options()("json", po::value<std::string>()->default_value("")->value_name("FILE"),
                        "writes one result per line, as soon as it is there; the first replaces an older file");
  options.add_options()("details", po::value<std::string>()->default_value("")->value_name("FILE"),
                        "writes which tokens every policy kept, for `namm report`");
  options.add_options()("details-prompts", po::value<int>()->default_value(4)->value_name("N"),
                        "prompts per task and length that go into --details");
  options.add_options()("resume",
                        "goes on where an evaluation of the same settings was stopped: what --json has is not measured again");
  options.add_options()("format,f", po::value<std::string>()->default_value("text")->value_name("NAME"),
                        ("of the table that is printed: " + report::report_format_names()).c_str());
  options.add_options()("wide", "every column of the table, not only what fits 100 characters");
  add_general(options);
  return options;
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  const auto values =
      parse(arguments, describe_options(), "namm eval --model FILE --policy A,B [options]",
            "Measures quality and savings of policies beside the full cache, on the same prompts.\n"
            "quality: mean task score; dlogp: change of the gold answer's log-likelihood per token against the full cache.");
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  ModelOptions model_options = model_from(*values);
  read_cache_holder(*values, model_options);
  model_options.stop = &interrupted();
  const auto watched = (*values)["details-prompts"].as<int>();
  require_at_least("--samples", (*values)["samples"].as<int>(), 1);
  require_at_least("--details-prompts", watched, 1);
  const std::string json = (*values)["json"].as<std::string>(), details = (*values)["details"].as<std::string>();
  const report::ReportFormat format = report::parse_report_format((*values)["format"].as<std::string>());
  const bool resume = values->contains("resume");
  if (resume && json.empty())
    throw std::invalid_argument("--resume: must be given with --json, is alone; name the file to go on with");
  std::vector<Candidate> candidates = candidates_from(*values);
  for (const Candidate& candidate : candidates) {
    check_cache_holder(model_options, candidate.memory);
    if (candidate.hindsight && model_options.holder == llama::CacheHolder::device)
      throw std::invalid_argument("--policy " + candidate.name +
                                  ": must read the prompt's attention first, which --attachment device cannot show; give "
                                  "--attachment backend");
  }
  CachePolicy full;
  full.policy = make_policy("full");
  candidates.insert(candidates.begin(), Candidate{"full", full});
  const bool all = split_name(*values) == "all";
  TaskOptions tasks = tasks_from(*values, all ? tasks::FileSplits::shared : tasks::FileSplits::disjoint);
  const tasks::Split split = all ? tasks::Split::test : tasks::parse_split(split_name(*values));
  const std::vector<std::uint64_t> numbers = prompts_to_measure(*values, tasks, split);
  continue_plain_texts(tasks);

  const auto model = load_model(model_options);
  drop_unknown_template(*model, tasks.protocol.chat_template);
  for (const std::string& name : policies_of(candidates)) warn_if_of_another_model(name, model->description().model);
  if (values->contains("data")) warn_of_seen_prompts(candidates, (*values)["data"].as<std::string>(), split_name(*values));
  warn_of_few_tokens(parse_budgets((*values)["budget"].as<std::string>()));
  if (std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.name == kDefaultPolicyName; }))
    warn_if_untuned(model_options.model);
  eval::ResultRecord common = common_of(*values, *model, model_options, tasks);
  common.samples = static_cast<std::int64_t>(numbers.size());
  eval::EarlierResults earlier = resume ? eval::EarlierResults(json, common) : eval::EarlierResults();
  if (const std::string other = earlier.other_program(common); !other.empty())
    spdlog::warn("--resume: {} has results of another program ({}); compare them with care", json, other);
  const auto start = resume ? JsonLines::Start::continued : JsonLines::Start::afresh;
  JsonLines results("--json", json, start), detail_lines("--details", details, start);
  ProgressBar bar(!values->contains("quiet"));
  Session session{std::move(tasks),
                  std::move(candidates),
                  std::move(common),
                  std::move(earlier),
                  results,
                  detail_lines,
                  details.empty() ? 0 : static_cast<std::size_t>(watched),
                  bar,
                  {}};
  plan_work(session, numbers.size());
  const bool going = evaluate_all(session, model, model_options, numbers, split);
  bar.clear();
  if (!going)
    std::cerr << (session.records.empty() ? "namm: stopped before the first result"
                                          : "namm: stopped; what was measured is reported")
              << (json.empty()           ? std::string("; with --json FILE an evaluation can be resumed")
                  : !says_how_to_go_on() ? std::string()
                                         : "\nnamm: go on with: " + again("eval", arguments, {resume ? "" : "--resume"}))
              << '\n';
  report::ReportContent content;
  content.records = std::move(session.records);
  report::label_policies(content);
  std::cout << report::render(content, format, values->contains("wide"));
  return going ? 0 : 1;
}

}  // namespace namm::cli
