#include <algorithm>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_lines.hpp"
#include "base/nearest_names.hpp"
#include "bench/cases.hpp"
#include "bench/model.hpp"
#include "bench/report.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/own_policy.hpp"
#include "cli/progress_bar.hpp"
#include "kernels/machine_peak.hpp"
#include "namm/policy.hpp"

namespace namm::cli {
namespace {

po::options_description bench_options() {
  po::options_description options("Options", 100);
  std::string names;
  for (const bench::BenchKernel& kernel : bench::bench_kernels()) names.append(names.empty() ? "" : ", ").append(kernel.name);
  options.add_options()("kernel,k", po::value<std::string>()->default_value("all")->value_name("A,B"),
                        ("all, none, or some of: " + names).c_str());
  options.add_options()("threads,t", po::value<int>()->default_value(1)->value_name("N"), "threads of both sides");
  options.add_options()("repetitions,r", po::value<int>()->default_value(7)->value_name("N"),
                        "of every variant, all in turn; ratios are medians over them, with the range, and need 5");
  options.add_options()("clock", po::value<std::string>()->default_value("wall")->value_name("NAME"),
                        "wall, or processor (time of this process alone: for a busy machine, with one thread)");
  options.add_options()("model,m", po::value<std::string>()->value_name("FILE"),
                        "a GGUF file: prefill and decode, stock llama.cpp with and without flash attention beside ours; without "
                        "--kernel no kernels");
  add_offload(options, "layers whose weights, and the KV caches of both sides, go to the GPU (--model), 99 for all");
  options.add_options()("policy,p", po::value<std::string>()->value_name("NAME"),
                        "policy to attach (--model): a name, a policy file, or own, which was made for this model");
  options.add_options()("budget,b", po::value<std::string>()->value_name("B"), "its budget; default: the policy file's own");
  options.add_options()("length", po::value<std::string>()->default_value("500,4000")->value_name("N,M"),
                        "prompt lengths in tokens (--model)");
  options.add_options()("decode", po::value<int>()->default_value(32)->value_name("N"), "tokens to decode (--model)");
  add_memory(options);
  add_store(options);
  options.add_options()("small", "tiny shapes: to see that it runs, not to measure");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"), "writes everything as one JSON object");
  add_general(options);
  return options;
}

std::vector<const bench::BenchKernel*> kernels_from(const po::variables_map& values) {
  std::vector<const bench::BenchKernel*> out;
  const std::string text = values["kernel"].as<std::string>();
  if (text == "none" || (values.contains("model") && values["kernel"].defaulted())) return out;
  std::vector<std::string_view> names;
  for (const bench::BenchKernel& kernel : bench::bench_kernels()) {
    names.push_back(kernel.name);
    if (text == "all") out.push_back(&kernel);
  }
  if (text == "all") return out;
  for (const std::string& name : split_list(text, "--kernel")) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw std::invalid_argument("--kernel: must be all, none or kernels of --help, is \"" + name +
                                  "\"; nearest: " + std::string(nearest_names(name, names, 1).front()));
    out.push_back(&bench::bench_kernels()[static_cast<std::size_t>(found - names.begin())]);
  }
  return out;
}

bench::ModelBenchSettings model_settings_from(const po::variables_map& values, bench::BenchClock clock) {
  bench::ModelBenchSettings out;
  out.clock = clock;
  out.threads = values["threads"].as<int>();
  out.decode_tokens = values["decode"].as<int>();
  out.repetitions = values["repetitions"].as<int>();
  require_at_least("--decode", out.decode_tokens, 1);
  require_at_most("--decode", out.decode_tokens, static_cast<int>(tasks::kMostLengthTokens));
  for (const std::string& text : split_list(values["length"].as<std::string>(), "--length"))
    out.lengths.push_back(parse_length(text));
  if (values.contains("policy")) {
    out.policy_name = recorded_policy(values["policy"].as<std::string>());
    std::optional<Budget> given;
    if (values.contains("budget")) given = budget_from(values);
    const PolicyFile file = resolve_policy_of(out.policy_name, values["model"].as<std::string>(), given);
    const Budget budget = given.value_or(file.selection.budget);
    if (budget.unit == Budget::Unit::unlimited && file.drops())
      throw std::invalid_argument("--budget: must be given with the policy " + out.policy_name +
                                  ", is missing; for example --budget 25%");
    out.budget_text = to_string(budget);
    out.memories.push_back(make_memory(file, memory_from(values), budget));
    if (values.contains("budget")) warn_of_few_tokens({&budget, 1});
  } else if (const std::string option = !values.contains("store") ? given_memory_option(values) : "--store"; !option.empty()) {
    throw std::invalid_argument(option + ": must be given with --policy, is given without; name a policy, for example --policy " +
                                std::string(kDefaultPolicyName));
  }
  const llama::Offload offload = offload_from(values);
  out.on_device = offload.gpu_layers > 0;
  ModelOptions where;
  if (out.on_device) where.holder = llama::CacheHolder::device;
  for (const CachePolicy& memory : out.memories) check_cache_holder(where, memory);
  out.model = llama::LlamaModel::load(values["model"].as<std::string>(), offload);
  return out;
}

void measure_kernels(const std::vector<const bench::BenchKernel*>& kernels, const bench::BenchSettings& settings, bool quiet,
                     bench::BenchResults& results) {
  ProgressBar bar(!quiet);
  for (std::size_t k = 0; k < kernels.size() && !interrupted(); ++k) {
    bar.show(std::string(kernels[k]->name), k, kernels.size());
    for (bench::BenchCase& work : kernels[k]->cases(settings)) {
      if (interrupted()) break;
      std::vector<bench::BenchTiming> timings = measure(work, results.repetitions, results.clock);
      bar.clear();
      std::cout << bench::case_table(work, timings, results.peaks) << std::flush;
      for (bench::BenchVariant& variant : work.variants) variant.run = variant.prepare = nullptr;  // and with them the data
      results.cases.push_back(std::move(work));
      results.timings.push_back(std::move(timings));
    }
  }
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  const auto values =
      parse(arguments, bench_options(), "namm bench [--kernel A,B] [--model FILE [--policy NAME --budget B]] [options]",
            "Times the kernels beside what they replace and beside what this machine can do at most, or a model "
            "with and without a policy.");
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  bench::BenchResults results;
  results.threads = (*values)["threads"].as<int>();
  results.repetitions = (*values)["repetitions"].as<int>();
  results.small = values->contains("small");
  const std::string clock = (*values)["clock"].as<std::string>();
  if (clock != "wall" && clock != "processor")
    throw std::invalid_argument("--clock: must be wall or processor, is \"" + clock + "\"; see --help");
  results.clock = clock == "wall" ? bench::BenchClock::wall : bench::BenchClock::processor;
  require_at_least("--threads", results.threads, 1);
  require_at_least("--repetitions", results.repetitions, 1);
  const std::string option = values->contains("policy")               ? "--policy"
                             : values->contains("store")              ? "--store"
                             : (*values)["gpu-layers"].as<int>() != 0 ? "--gpu-layers"
                             : !(*values)["device"].defaulted()       ? "--device"
                                                                      : given_memory_option(*values);
  if (!option.empty() && !values->contains("model"))
    throw std::invalid_argument(option + ": must be given with --model, which is missing; name a GGUF file");
  const std::vector<const bench::BenchKernel*> kernels = kernels_from(*values);
  const bool quiet = values->contains("quiet");
  if (values->contains("json")) require_writable("--json", (*values)["json"].as<std::string>());
  std::optional<bench::ModelBenchSettings> model;
  if (values->contains("model")) model = model_settings_from(*values, results.clock);
  if (!kernels.empty() || model) std::cout << bench::ratio_note(results.repetitions) << std::flush;
  if (!kernels.empty()) {
    results.peaks = {kernels::measure_fma_rate(results.threads), kernels::measure_read_rate(results.threads)};
    std::cout << bench::peaks_line(results.peaks, results.threads);
    measure_kernels(kernels, {results.threads, results.small}, quiet, results);
  }
  if (model && !interrupted()) {
    ProgressBar bar(!quiet);
    std::size_t done = 0;
    const std::size_t all = model->lengths.size() * (3 + model->memories.size()) * static_cast<std::size_t>(model->repetitions);
    results.models.push_back(bench::bench_model(*model, [&](const std::string& next) {
      bar.show(next, done++, all);
      return !interrupted();
    }));
    bar.clear();
    std::cout << bench::model_table(results.models.front());
  }
  if (values->contains("json")) write_file_atomically((*values)["json"].as<std::string>(), to_json(results).dump(1) + "\n");
  return interrupted() ? 1 : 0;
}

}  // namespace namm::cli
