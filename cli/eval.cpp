#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "cli/command.hpp"
#include "cli/console.hpp"
#include "cli/evaluation.hpp"
#include "cli/interrupt.hpp"
#include "cli/options.hpp"
#include "cli/report_table.hpp"
#include "cli/version.hpp"
#include "evolve/prompt_plan.hpp"
#include "namm/policies/registry.hpp"

namespace namm::cli {
namespace {

/// One row of the experiment: a policy under a budget, in one mode.
struct Candidate {
  std::string name;
  Memory memory;
};

std::vector<Candidate> candidates_from(const po::variables_map& values) {
  std::vector<SelectionMode> modes;
  MemoryOptions options = memory_from(values);
  if (values.contains("modes"))
    for (const std::string& name : split_list(values["modes"].as<std::string>(), "--modes"))
      modes.push_back(parse_selection_mode(name));
  const std::vector<Budget> budgets = parse_budgets(values["budget"].as<std::string>());
  std::vector<Candidate> out;
  for (const std::string& name : split_list(values["policy"].as<std::string>(), "--policy")) {
    const PolicyFile file = resolve_policy(name);
    if (file.policy->keeps_everything()) continue;  // always measured, once
    for (const Budget& budget : budgets)
      if (modes.empty()) {
        out.push_back({name, make_memory(file, options, budget)});
      } else {
        for (const SelectionMode mode : modes) {
          options.mode = mode;
          out.push_back({name, make_memory(file, options, budget)});
        }
      }
  }
  return out;
}

std::vector<evolve::Prompt> prompts_of(evolve::HostPool& pool, const TaskOptions& tasks, std::size_t task, std::size_t length,
                                       std::size_t samples, std::uint64_t seed, tasks::Split split) {
  std::vector<evolve::PromptChoice> choices;
  for (std::uint64_t i = 0; i < samples; ++i) choices.push_back({task, split, i, length, {0}});
  auto prompts = evolve::make_prompts(pool, tasks.tasks, choices, seed, tasks.protocol, &interrupted());
  if (!prompts) return {};
  for (const evolve::Prompt& prompt : *prompts)
    if (prompt.answer.empty())
      throw std::runtime_error("prompt " + prompt.sample.id +
                               ": must have answers to be scored, has none; give prompts with \"question\" and \"answers\"");
  return std::move(*prompts);
}

/// Appends a line and says so at once if the disk refuses: results that are on disk stay.
class ResultFile {
 public:
  explicit ResultFile(const std::string& path) : path_(path) {
    if (path.empty()) return;
    file_.open(path, std::ios::trunc);
    if (!file_) throw std::runtime_error("--json " + path + ": cannot be written; choose another file");
  }
  void append(const ResultRecord& record) {
    if (path_.empty()) return;
    file_ << to_json(record).dump() << std::endl;
    if (!file_)
      throw std::runtime_error("--json " + path_ + ": cannot be written (disk full?); the results before this one are in it");
  }

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 110);
  options.add_options()("policy,p", po::value<std::string>()->required()->value_name("A,B"),
                        "policies: names or policy files; `full` is always measured");
  options.add_options()("budget,b", po::value<std::string>()->default_value("25%")->value_name("B,C"),
                        "budgets: 25% or 0.25, 256 (tokens per head), 64MiB");
  add_model(options, 1);
  add_memory(options);
  options.add_options()("modes", po::value<std::string>()->value_name("A,B"), "measure every policy in each of these modes");
  add_tasks(options, "512");
  options.add_options()("samples,n", po::value<int>()->default_value(20)->value_name("N"), "prompts per task and length");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of the prompts");
  options.add_options()("split", po::value<std::string>()->default_value("test")->value_name("NAME"),
                        "train, validation or test");
  options.add_options()("json", po::value<std::string>()->default_value("")->value_name("FILE"), "writes one result per line");
  add_general(options);
  const auto values =
      parse(arguments, options, "namm eval --model FILE --policy A,B [options]",
            "Measures quality and savings of policies beside the full cache, on the same prompts.\n"
            "quality: mean task score; dlogp: change of the gold answer's log-likelihood per token against the full cache.");
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  const ModelOptions model_options = model_from(*values);
  const TaskOptions tasks = tasks_from(*values, tasks::FileSplits::shared);
  const auto samples = (*values)["samples"].as<int>();
  require_at_least("--samples", samples, 1);
  const std::vector<Candidate> candidates = candidates_from(*values);
  const auto seed = (*values)["seed"].as<std::uint64_t>();
  const tasks::Split split = tasks::parse_split((*values)["split"].as<std::string>());
  const auto model = llama::LlamaModel::load(model_options.model);
  const std::size_t longest = *std::max_element(tasks.lengths_tokens.begin(), tasks.lengths_tokens.end());
  evolve::HostPool pool(host_factory(model, model_options, static_cast<int>(longest) + 256), model_options.workers);
  ResultFile results((*values)["json"].as<std::string>());
  ProgressBar bar(!values->contains("quiet"));

  Memory full;
  full.policy = make_policy("full");
  std::vector<ResultRecord> records;
  for (std::size_t t = 0; t < tasks.tasks.size(); ++t)
    for (const std::size_t length : tasks.lengths_tokens) {
      const auto prompts = prompts_of(pool, tasks, t, length, static_cast<std::size_t>(samples), seed, split);
      std::vector<Measurement> reference;
      const auto measure = [&](const std::string& name, const Memory& memory, bool is_full) {
        const std::string label = std::string(tasks.tasks[t]->name()) + " " + std::to_string(length) + " " + name +
                                  (is_full ? "" : " " + to_string(memory.selection.budget));
        reset_peak_resident();
        auto measured = measure_prompts(pool, memory, prompts, tasks.protocol, reference, &interrupted(),
                                        [&](std::size_t done, std::size_t all) { bar.show(label, done, all); });
        if (!measured) return false;
        if (is_full) reference = *measured;
        ResultRecord record;
        record.model = pool.host().description().model;
        record.architecture = pool.host().description().architecture;
        record.policy = name;
        record.task = tasks.tasks[t]->name();
        record.length_tokens = static_cast<std::int64_t>(length);
        record.budget = is_full ? "none" : to_string(memory.selection.budget);
        record.mode = is_full ? "" : to_string(memory.selection.mode);
        record.interval_tokens = memory.interval_tokens;
        record.seed = seed;
        record.workers = model_options.workers;
        record.threads = model_options.threads;
        record.version = kVersion;
        record.commit = kCommit;
        summarise(*measured, reference, record);
        record.peak_rss_bytes = peak_resident_bytes();
        results.append(record);
        records.push_back(std::move(record));
        return true;
      };
      bool going = !interrupted() && measure("full", full, true);
      for (const Candidate& candidate : candidates) going = going && measure(candidate.name, candidate.memory, false);
      if (!going) {
        bar.clear();
        std::cerr << "namm: stopped; what was measured is reported\n";
        print_results(std::cout, records, TableFormat::text);
        return 1;
      }
    }
  bar.clear();
  print_results(std::cout, records, TableFormat::text);
  return 0;
}

}  // namespace namm::cli
