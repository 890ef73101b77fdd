#include <spdlog/spdlog.h>

#include <algorithm>
#include <iostream>

#include "base/atomic_file.hpp"
#include "base/json_lines.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "cli/own_policy.hpp"
#include "cli/progress_bar.hpp"
#include "cli/prompt_text.hpp"
#include "cli/run_comparison.hpp"
#include "cli/run_report.hpp"
#include "cli/untuned.hpp"

namespace namm::cli {
namespace {

/// What is allowed and probably not meant.
void warn_of_what_is_set(const po::variables_map& values, std::span<const LabelledRun> runs, const ModelOptions& model) {
  if (values.contains("budget")) warn_of_few_tokens(parse_budgets(values["budget"].as<std::string>()));
  if (std::any_of(runs.begin(), runs.end(), [](const LabelledRun& run) { return run.policy == kDefaultPolicyName; }))
    warn_if_untuned(model.model);
}

po::options_description run_options() {
  po::options_description options("Options", 100);
  add_model(options, 1);
  options.add_options()(
      "policy,p", po::value<std::string>()->value_name("NAME"),
      "policy: a name, a policy file, own (made for this model: namm policies) or default (the evolved one that comes with the "
      "program); without it own, else full, or default where --budget, --mode, --interval or --protect-... is given; with "
      "--compare a list");
  options.add_options()(
      "budget,b", po::value<std::string>()->value_name("B"),
      "25% or 0.25, 256 (tokens per head), 64MiB, 12.5%bytes; default: the policy file's own; with --compare a list");
  add_memory(options, true);
  add_store(options);
  add_cache_holder(options);
  add_prompt(options);
  options.add_options()("question", po::value<std::string>()->default_value("")->value_name("TEXT"),
                        "asked after the memory was compressed");
  options.add_options()("answer-prefix", po::value<std::string>()->default_value("")->value_name("TEXT"),
                        "first words of the answer, given to the model");
  options.add_options()("max-tokens,n", po::value<int>()->default_value(64)->value_name("N"), "most tokens to generate");
  options.add_options()("question-in-context", "the memory is compressed after the question, not before");
  options.add_options()("no-chat", "do not apply the model's chat template");
  options.add_options()(
      "compare", "first stock llama.cpp without and with flash attention and the full cache, then the policies; prints a table");
  options.add_options()("positions", "prints which tokens each layer and KV head kept");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"), "writes what was measured, one run per line");
  add_general(options);
  return options;
}

/// Hosts of one run after the other, for a prompt of this length with what is generated behind it.
MakeHost host_maker(const std::shared_ptr<const llama::LlamaModel>& model, const ModelOptions& options, int tokens) {
  const llama::LlamaHostSettings attached = host_settings(*model, options, tokens);
  return [model, attached](RunOn on) {
    llama::LlamaHostSettings settings = attached;
    settings.stock = on != RunOn::attached;
    settings.stock_flash_attention = on == RunOn::stock_flash_attention;
    return std::make_unique<llama::LlamaHost>(model, settings);
  };
}

/// Puts the prompt to a host and generates, with a progress bar meanwhile.
struct PromptRun {
  const Prompt& prompt;
  const ProtocolSettings& protocol;
  int max_tokens;
  bool quiet;

  RunOutcome operator()(llama::LlamaHost& host, const CachePolicy& memory, const std::string& label, bool show_text) const {
    ProgressBar bar(!quiet);
    RunCallbacks callbacks;
    callbacks.stop = &interrupted();
    callbacks.reading = [&](std::size_t done, std::size_t all) {
      done < all ? bar.show("reading, " + label, done, all) : bar.clear();
    };
    if (show_text) callbacks.text = [](std::string_view piece) { std::cout << piece << std::flush; };
    return run_prompt(host, memory, prompt, protocol, max_tokens, callbacks);
  }
};

tasks::Sample sample_from(const po::variables_map& values) {
  tasks::Sample sample;
  sample.question = values["question"].as<std::string>();
  sample.answer_prefix = values["answer-prefix"].as<std::string>();
  sample.context = prompt_text_from(values);
  return sample;
}

}  // namespace

int run_run(const std::vector<std::string>& arguments) {
  const auto values =
      parse(arguments, run_options(),
            "namm run --model FILE [--policy NAME] [--budget B] (--prompt TEXT | --file FILE | < FILE) [options]",
            "Generates greedily with a memory policy attached; prints the text, then the savings (--quiet: only the text).");
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  const bool quiet = values->contains("quiet"), positions = values->contains("positions");
  ModelOptions model_options = model_from(*values);
  read_cache_holder(*values, model_options);
  const int max_tokens = (*values)["max-tokens"].as<int>();
  require_at_least("--max-tokens", max_tokens, 1);
  require_at_most("--max-tokens", max_tokens, static_cast<int>(tasks::kMostLengthTokens));
  std::vector<LabelledRun> runs = runs_from(*values);
  for (LabelledRun& run : runs) {
    check_cache_holder(model_options, run.memory);
    run.attachment = (*values)["attachment"].as<std::string>();
  }
  const tasks::Sample sample = sample_from(*values);
  ProtocolSettings protocol{!values->contains("no-chat"), !values->contains("question-in-context")};
  if (values->contains("json")) require_writable("--json", (*values)["json"].as<std::string>());

  const auto model = load_model(model_options);
  drop_unknown_template(*model, protocol.chat_template);
  warn_of_what_is_set(*values, runs, model_options);
  for (const LabelledRun& run : runs)
    if (run.policy != kOwnPolicyName) warn_if_of_another_model(run.policy, model->description().model);
  const Prompt prompt = encode_prompt(*host_factory(model, tokenising(model_options), 256)(), sample, nullptr, protocol);
  const std::size_t prompt_tokens = prompt.context.size() + prompt.question.size();
  const MakeHost make_host = host_maker(model, model_options, static_cast<int>(prompt_tokens) + max_tokens);
  const PromptRun go{prompt, protocol, max_tokens, quiet};
  HostDescription description;

  if (values->contains("compare")) {
    compare(runs, make_host, [&](llama::LlamaHost& host, const CachePolicy& memory, const std::string& label) {
      if (host.measures_usage()) {
        description = host.description();
        warn_if_protected_exceed(memory, description, prompt_tokens);
      }
      return go(host, memory, label, false);
    });
    std::cout << prompt_tokens << " tokens read, up to " << max_tokens << " generated, " << model_options.threads
              << " threads\n\n";
    print_comparison(std::cout, runs);
  } else {
    start_measuring();
    const auto host = make_host(RunOn::attached);
    description = host->description();
    if (!warn_if_protected_exceed(runs.front().memory, description, prompt_tokens))
      warn_if_all_fits(runs.front().memory, description, prompt_tokens + static_cast<std::size_t>(max_tokens));
    runs.front().outcome = go(*host, runs.front().memory, runs.front().policy, true);
    std::cout << '\n';
    if (!quiet) std::cout << '\n', print_savings(std::cout, runs.front());
  }
  if (positions)
    for (const LabelledRun& run : runs)
      if (!run.outcome.kept.empty())
        std::cout << '\n' << run.policy << ' ' << run.budget << ' ' << run.mode << '\n', print_positions(std::cout, run.outcome);
  if (values->contains("json")) {
    std::string lines;
    for (const LabelledRun& run : runs)
      lines += to_json(run, description, positions).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    std::cout.flush();  // FILE may be /dev/stdout
    write_file_atomically((*values)["json"].as<std::string>(), lines);
  }
  return runs.back().outcome.complete ? 0 : 1;
}

}  // namespace namm::cli
