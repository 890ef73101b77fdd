#include "cli/file_facts.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#ifdef NAMM_WITH_LLAMA
#include "adapters/llama_cpp/model_facts.hpp"
#endif
#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "base/line_reader.hpp"
#include "base/safetensors.hpp"
#include "core/policies/network_policy.hpp"
#include "core/policy_file.hpp"
#include "eval/details_file.hpp"
#include "eval/record_file.hpp"
#include "evolve/checkpoint.hpp"
#include "evolve/generation_record.hpp"
#include "namm/policy.hpp"
#include "report/run_curve.hpp"
#include "tasks/prompt_file.hpp"
#include "trace/reader.hpp"

namespace namm::cli {
namespace {

using Facts = nlohmann::ordered_json;
constexpr std::uintmax_t kLargestJson = std::uintmax_t{64} << 20;

Facts start(const std::filesystem::path& path, const char* kind) {
  return {{"file", path.string()}, {"kind", kind}};
}

/// What a probe costs at run time: it is applied once to every token, when the token enters the cache.
Facts probe_facts(const TokenProbe& probe) {
  std::size_t heads = 0, weights = 0;
  for (const ProbeLayer& layer : probe.layers()) {
    heads += static_cast<std::size_t>(layer.kv_heads);
    weights += layer.weights.size() + layer.square_weights.size();
  }
  return {{"reads", probe.input() == ProbeInput::key ? "the head's key" : "keys and values of the layer"},
          {"layers", probe.layers().size()},
          {"kv_heads", heads},
          {"multiply_adds_per_token", weights - heads},
          {"weight_bytes", weights * sizeof(float)}};
}

Facts policy_facts(const std::filesystem::path& path) {
  const PolicyFile file = std::filesystem::exists(path) ? load_policy_file(path) : resolve_policy(path.string());
  Facts out = start(path, "policy");
  out["policy"] = file.policy->name();
  const nlohmann::json settings = file.policy->to_json();
  for (const auto& [name, value] : settings.items())
    if (value.is_primitive()) out[name] = value;
  out["parameters"] = file.policy->parameter_count();
  out["reads_attention"] = file.policy->required().reads_attention();
  if (const auto calibrated = calibrated_of(*file.policy)) {
    out["recency"] = detail::number_of(calibrated->recency());
    if (const std::vector<float>& evenness = calibrated->evenness(); !evenness.empty())
      out["largest_evenness"] = detail::number_of(*std::max_element(evenness.begin(), evenness.end()));
    out["probe"] = probe_facts(*calibrated->probe());
  }
  out["mode"] = to_string(file.selection.mode);
  out["budget"] = to_string(file.selection.budget);
  out["protected_sinks"] = file.selection.sinks;
  out["protected_recent"] = file.selection.recent;
  out["interval_tokens"] = file.interval_tokens;
  out["store"] = to_string(file.store);
  if (file.policy->required().has(Statistic::spectrogram)) out["spectrogram_decay"] = detail::number_of(file.spectrogram.decay);
  out["provenance"] = file.provenance;
  return out;
}

/// A whole file that is one JSON object; nothing if it is something else or too large to be one of ours.
nlohmann::json whole_object(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::file_size(path, ignored) > kLargestJson) return nullptr;  // or not there
  std::ifstream in(path, std::ios::binary);
  nlohmann::json content = detail::try_json(std::string(std::istreambuf_iterator<char>(in), {}));
  return content.is_object() ? content : nlohmann::json(nullptr);
}

/// What a command left of how it was called, or of how far it came; nothing of other objects.
Facts state_facts(const std::filesystem::path& path, const nlohmann::json& content) {
  const auto has = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(), [&](const char* name) { return content.contains(name); });
  };
  const char* const kind = has({"sizes", "done"})                   ? "state of a tuning"
                           : has({"store", "budget", "holds_all"})  ? "how a tuning holds keys and values"
                           : has({"explained", "recency", "texts"}) ? "summary of a calibration"
                           : path.filename() == "run.json"          ? "what a command was called with"
                                                                    : nullptr;
  if (kind == nullptr) return {};
  Facts out = start(path, kind);
  out.update(Facts(content));
  return out;
}

/// The steps that are done, how large they were made, and what has been chosen.
Facts tuning_facts(const std::filesystem::path& folder) {
  Facts out = start(folder, "tuning");
  std::error_code ignored;
  for (const char* const name : {"run.json", "tune.json", "split.json"})
    if (const nlohmann::json content = whole_object(folder / name); content.is_object()) out.update(Facts(content));
  if (std::filesystem::exists(folder / "policy.json", ignored)) out["policy"] = policy_facts(folder / "policy.json");
  return out;
}

Facts run_facts(const std::filesystem::path& path) {
  const bool folder = std::filesystem::is_directory(path);
  const evolve::Checkpoint checkpoint = folder ? report::load_run(path) : evolve::load_checkpoint(path);
  Facts out = start(path, folder ? "run folder" : "checkpoint");
  out["generation"] = checkpoint.generation;
  out["best_generation"] = checkpoint.best_generation;
  out["best_validation"] = detail::number_or_null(checkpoint.best_validation);
  out["start_validation"] = detail::number_or_null(checkpoint.start_validation);
  out["policy"] = checkpoint.best->name();
  out["parameters"] = checkpoint.best->parameter_count();
  out["settings"] = checkpoint.settings;
  out["provenance"] = checkpoint.provenance;
  return out;
}

Facts result_facts(const std::filesystem::path& path) {
  std::set<std::string> models, policies, tasks, budgets;
  std::set<std::int64_t> lengths;
  const std::vector<eval::ResultRecord> records = eval::load_results(path);
  for (const eval::ResultRecord& r : records) {
    models.insert(r.model);
    policies.insert(r.policy);
    tasks.insert(r.task);
    budgets.insert(r.budget);
    lengths.insert(r.length_tokens);
  }
  Facts out = start(path, "results");
  out["records"] = records.size();
  out["models"] = models;
  out["policies"] = policies;
  out["tasks"] = tasks;
  out["lengths_tokens"] = lengths;
  out["budgets"] = budgets;
  return out;
}

Facts details_facts(const std::filesystem::path& path) {
  eval::DetailsFile file;
  eval::load_details(path, file);
  std::set<std::string> models, tasks, policies, budgets;
  for (const eval::PromptDetails& prompt : file.prompts) {
    models.insert(prompt.model);
    tasks.insert(prompt.task);
  }
  for (const eval::RetentionDetails& retention : file.retentions) {
    policies.insert(retention.policy);
    budgets.insert(retention.budget);
  }
  Facts out = start(path, "details");
  out["prompts"] = file.prompts.size();
  out["retentions"] = file.retentions.size();
  out["models"] = models;
  out["tasks"] = tasks;
  out["policies"] = policies;
  out["budgets"] = budgets;
  return out;
}

Facts prompt_facts(const std::filesystem::path& path) {
  tasks::PromptFile file(path);
  std::map<std::string, std::size_t> per_task;
  std::size_t prompts = 0, questions = 0, characters = 0;
  while (const auto sample = file.next()) {
    ++prompts;
    ++per_task[sample->task];
    questions += sample->answers.empty() ? 0 : 1;
    characters += sample->context.size();
  }
  if (prompts == 0) throw std::runtime_error(path.string() + ": must hold prompts, is empty");
  Facts out = start(path, questions > 0 ? "prompts" : "text");
  out["prompts"] = prompts;
  out["with_answers"] = questions;
  out["context_bytes_mean"] = characters / prompts;
  out["tasks"] = per_task;
  return out;
}

Facts trace_facts(const std::filesystem::path& path) {
  const trace::Reader reader(path);
  const trace::Settings& settings = reader.settings();
  std::map<std::string, std::size_t> per_split, per_task;
  std::size_t tokens = 0;
  for (const trace::PromptRecord& prompt : reader.prompts()) {
    ++per_split[prompt.facts.split];
    ++per_task[prompt.facts.task];
    tokens += prompt.facts.compressed.size();
  }
  Facts out = start(path, "trace");
  out["model"] = settings.host.model;
  out["architecture"] = settings.host.architecture;
  out["prompts"] = reader.prompts().size();
  out["splits"] = per_split;
  out["tasks"] = per_task;
  out["tokens"] = tokens;
  out["layers"] = settings.layers.size();
  out["kv_heads"] = settings.heads();
  out["interval_tokens"] = settings.interval_tokens;
  out["statistics"] = settings.all_statistics ? "all" : "sums";
  out["keys"] = trace::to_string(settings.rows);
  out["question_seen_while_compressing"] = !settings.question_after;
  out["bytes"] = reader.file_bytes();
  out["bytes_behind_the_last_whole_prompt"] = reader.file_bytes() - reader.whole_bytes();
  out["provenance"] = settings.provenance;
  return out;
}

/// By the fields of the first line: details, results, the log of a run, or prompts.
Facts line_facts(const std::filesystem::path& path) {
  if (eval::is_details_file(path)) return details_facts(path);
  LineReader reader(path, std::size_t{64} << 20);
  std::string line;
  while (reader.next(line) && line.find_first_not_of(" \t") == std::string::npos) {
  }
  const nlohmann::json first = detail::try_json(line);
  if (first.is_object() && first.contains("policy") && first.contains("quality")) return result_facts(path);
  if (first.is_object() && first.contains("generation")) {
    Facts out = start(path, "log of a run");
    std::size_t lines = 1;
    while (reader.next(line)) ++lines;
    out["lines"] = lines;
    return out;
  }
  if (path.filename() == "policy.json") return policy_facts(path);
  if (first.is_array() || line.find_first_not_of(" \t") == line.find('['))
    throw std::runtime_error(
        path.string() + ": must have one object per line (JSON lines) to be prompts or results, is a JSON array; jq -c '.[]' " +
        path.filename().string() + " > prompts.jsonl makes one of the other");
  if (path.extension() == ".json" && !first.is_object())
    throw std::runtime_error(path.string() + ": must be whole JSON, is cut off or damaged; copy or write it anew");
  return prompt_facts(path);
}

nlohmann::ordered_json model_facts(const std::filesystem::path& path) {
#ifdef NAMM_WITH_LLAMA
  return llama::model_facts(path);
#else
  throw std::runtime_error(path.string() +
                           ": is a model, which only a namm built with llama.cpp reads; build with NAMM_WITH_LLAMA");
#endif
}

}  // namespace

nlohmann::ordered_json file_facts(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (is_policy_name(path.string())) return policy_facts(path);
    throw std::runtime_error(path.string() + ": does not exist and is no policy's name; check the path");
  }
  if (std::filesystem::is_directory(path, error)) {
    if (std::filesystem::exists(path / "checkpoint.json", error)) return run_facts(path);
    if (std::filesystem::exists(path / "tune.json", error)) return tuning_facts(path);
    if (std::filesystem::exists(path / kPolicyFileName, error)) return policy_facts(path / kPolicyFileName);
    throw std::runtime_error(path.string() +
                             ": must be a file, or the folder of a run, a calibration or a tuning, holds no "
                             "checkpoint.json, policy.json or tune.json; name a file in it");
  }
  if (!std::filesystem::is_regular_file(path, error))
    throw std::runtime_error(path.string() + ": must be a file or the folder of a run, is a device or pipe; give a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be read; check its permissions");
  char head[16] = {};
  in.read(head, sizeof head);
  const std::string_view begin(head, static_cast<std::size_t>(in.gcount()));
  if (begin.empty()) throw std::runtime_error(path.string() + ": must be a model, policy, run, result or prompt file, is empty");
  if (begin.starts_with("GGUF")) return model_facts(path);
  if (is_safetensors(begin)) return policy_facts(path);  // refuses others
  if (trace::Reader::is_trace(path)) return trace_facts(path);
  if (path.filename() == "checkpoint.json") return run_facts(path);
  const nlohmann::json content = whole_object(path);
  if (content.is_object() && content.contains("format")) {
    if (content["format"] == "namm-evolution") return run_facts(path);
    return policy_facts(path);  // refuses other formats
  }
  if (Facts facts = state_facts(path, content); !facts.empty()) return facts;
  return line_facts(path);
}

}  // namespace namm::cli
