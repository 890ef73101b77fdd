#include "cli/help_groups.hpp"

#include <algorithm>
#include <array>

namespace namm::cli {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 7> kTitles = {
    "Options", "Cache and policy", "Prompts and texts", "Search and stopping", "Model and machine", "Files", "More"};

// What most calls need. --quiet, --help and --help-all are everywhere.
constexpr std::string_view kEverywhere[] = {"quiet", "help", "help-all", "files"};
constexpr std::string_view kEvolve[] = {"model",       "output",  "budget", "tasks",  "data",
                                        "generations", "workers", "policy", "resume", "length"};
constexpr std::string_view kCalibrate[] = {"model", "output", "budget", "texts", "data", "workers", "resume"};
constexpr std::string_view kAverage[] = {"output"};
constexpr std::string_view kTrace[] = {"model", "output", "tasks", "data", "length", "prompts", "workers", "resume"};
constexpr std::string_view kEval[] = {"model",  "policy",  "budget",  "tasks", "data",
                                      "length", "samples", "workers", "json",  "resume"};
constexpr std::string_view kRun[] = {"model",    "policy",     "budget",  "prompt", "file",
                                     "question", "max-tokens", "compare", "threads"};
constexpr std::string_view kAttach[] = {"policy", "budget", "stats", "print"};
constexpr std::string_view kBench[] = {"kernel", "model", "policy", "budget", "threads", "json"};
constexpr std::string_view kReport[] = {"output", "format", "wide"};
constexpr std::string_view kInspect[] = {"json"};
constexpr std::string_view kTune[] = {"model", "budget", "output", "minutes", "data", "workers", "resume"};
constexpr std::string_view kPolicies[] = {"action", "model", "key", "name", "file", "output"};
constexpr std::string_view kPrompts[] = {"task", "length", "count", "model"};
constexpr std::string_view kMan[] = {"output"};

// The rest by subject, the same for all commands.
constexpr std::string_view kCache[] = {"policy",   "budget", "mode",       "interval", "protect-sinks", "protect-recent",
                                       "compress", "target", "input",      "read-out", "value-weight",  "recency",
                                       "features", "probe",  "attachment", "cells",    "store"};
constexpr std::string_view kTexts[] = {"tasks",   "data",       "length",        "length-max", "haystack",
                                       "split",   "samples",    "seed",          "texts",      "question-in-context",
                                       "no-chat", "no-keep",    "prompts",       "count",      "training-pool",
                                       "start",   "validation", "answer-prefix", "traces",     "counter",
                                       "decode"};
constexpr std::string_view kSearch[] = {"fitness",     "strategy",      "population",         "step-size",
                                        "generations", "stop-at",       "validate-every",     "stop-after-minutes",
                                        "restarts",    "stop-stagnant", "restart-population", "minutes"};
constexpr std::string_view kMachine[] = {"threads",      "workers",       "context",     "gpu-layers", "device",
                                         "rank-timeout", "prompt-memory", "repetitions", "clock",      "model"};
constexpr std::string_view kFiles[] = {"json", "details", "details-prompts", "config", "format", "wide",      "statistics",
                                       "keys", "layers",  "heads",           "output", "resume", "save-every"};

struct Layout {
  std::string_view command;
  Names first;
  std::array<CommandHelp::Example, 2> examples;
};

constexpr Layout kLayouts[] = {
    {"evolve",
     kEvolve,
     {{{"half a minute on a small model: keep a quarter, learn from 300 and 600 tokens",
        "namm evolve --model model.gguf --output my-run --budget 25% --interval 128 --length 300,600 --generations 10"},
       {"go on with a run that was stopped", "namm evolve --resume my-run"}}}},
    {"calibrate",
     kCalibrate,
     {{{"a policy for this model, in minutes", "namm calibrate --model model.gguf --output probe --workers 2"},
       {"from texts of your own beside the made-up ones", "namm calibrate --model model.gguf --output probe --data own.txt"}}}},
    {"tune",
     kTune,
     {{{"the best policy for a quarter of the cache, in about an hour",
        "namm tune --model model.gguf --budget 25% --minutes 60 --workers 2 --output tuned"},
       {"go on with a tuning that was stopped", "namm tune --resume tuned"}}}},
    {"average",
     kAverage,
     {{{"the mean of three seeds", "namm average run1/policy.json run2/policy.json run3/policy.json --output mean.json"},
       {"of calibrated policies, with another recency",
        "namm average probe1/policy.json probe2/policy.json --recency 1 --output mean.json"}}}},
    {"trace",
     kTrace,
     {{{"eight prompts per task to evolve on without the model",
        "namm trace --model model.gguf --output prompts.trace --tasks basic"},
       {"prompts of your own", "namm trace --model model.gguf --output own.trace --data own.jsonl --prompts 20"}}}},
    {"eval",
     kEval,
     {{{"four policies at a quarter of the cache",
        "namm eval --model model.gguf --policy random,streaming,h2o,snapkv --budget 25% --length 1000 --json results.jsonl"},
       {"your own prompts or texts, two budgets",
        "namm eval --model model.gguf --policy probe/policy.json --data own.jsonl --budget 50%,25%"}}}},
    {"run",
     kRun,
     {{{"answer a question about a text with a quarter of the cache",
        "namm run --model model.gguf --policy h2o-mean --budget 25% --file text.txt --question \"Who is it about?\""},
       {"the same beside stock llama.cpp and the full cache",
        "namm run --model model.gguf --policy h2o-mean --budget 25% --file text.txt --compare"}}}},
    {"attach",
     kAttach,
     {{{"a server with a quarter of the cache; 'namm calibrate' made the policy for its model",
        "namm attach --policy probe/policy.json --budget 25% -- llama-server -m model.gguf"},
       {"what would be run", "namm attach --policy h2o-mean --budget 25% --print -- llama-server -m model.gguf"}}}},
    {"bench",
     kBench,
     {{{"the kernels on this machine", "namm bench --kernel all --threads 2"},
       {"prefill and decode of a model, stock beside attached",
        "namm bench --model model.gguf --policy h2o-mean --budget 25%"}}}},
    {"report",
     kReport,
     {{{"a page for the browser", "namm report results.jsonl my-run --output report.html"},
       {"a table for a paper", "namm report results.jsonl --format latex --output table.tex"}}}},
    {"inspect",
     kInspect,
     {{{"can a policy be attached to this model?", "namm inspect model.gguf"},
       {"what the policy that comes with the program is", "namm inspect default"}}}},
    {"policies",
     kPolicies,
     {{{"what is kept, for all models", "namm policies"},
       {"the policy of a model as a file to give away", "namm policies export --model model.gguf --output model-policy.json"}}}},
    {"prompts",
     kPrompts,
     {{{"three prompts of a task", "namm prompts --task passkey --length 300 --count 3"},
       {"counted in a model's tokens", "namm prompts --task kv-recall --length 1000 --model model.gguf"}}}},
    {"completion",
     {},
     {{{"for bash, from the next shell on", "namm completion bash > ~/.local/share/bash-completion/completions/namm"},
       {"for zsh, in a folder of fpath", "namm completion zsh > ~/.zsh/_namm"}}}},
    {"man",
     kMan,
     {{{"a page for every command", "namm man man1"}, {"where man looks for them", "namm man ~/.local/share/man/man1"}}}},
};

const Layout* layout_of(std::string_view command) {
  const auto found =
      std::find_if(std::begin(kLayouts), std::end(kLayouts), [&](const Layout& one) { return one.command == command; });
  return found == std::end(kLayouts) ? nullptr : found;
}

bool among(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::span<const std::string_view> help_titles() {
  return kTitles;
}

std::string_view title_of(std::string_view command, std::string_view option) {
  const Layout* const layout = layout_of(command);
  if (among(kEverywhere, option) || (layout != nullptr && among(layout->first, option))) return kTitles[0];
  const Names subjects[] = {kCache, kTexts, kSearch, kMachine, kFiles};
  for (std::size_t i = 0; i < std::size(subjects); ++i)
    if (among(subjects[i], option)) return kTitles[i + 1];
  return kTitles.back();
}

std::span<const CommandHelp::Example> examples_of(std::string_view command) {
  const Layout* const layout = layout_of(command);
  if (layout == nullptr) return {};
  return layout->examples;
}

}  // namespace namm::cli
