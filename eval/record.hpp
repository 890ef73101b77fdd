#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace namm::eval {

/// One line of results: one policy on one task at one length and budget. Shares are 0..1; rates are tokens per second.
struct ResultRecord {
  std::string model, architecture, policy, task, budget, mode;
  std::string attachment = "backend";  ///< who held the KV cache: backend (we), device (we, on a GPU), callback (the runtime)
  std::int64_t length_tokens = 0;
  std::int64_t samples = 0;      ///< prompts
  std::int64_t independent = 0;  ///< of them, without those that share a needle or a document with another
  std::int64_t cut_prompts = 0;  ///< prompts that lost their middle to the length
  std::uint64_t seed = 0;
  int interval_tokens = 0;
  double quality = 0;               ///< mean task score
  double quality_ci95[2] = {0, 0};  ///< as all intervals: estimates.hpp
  double quality_change = 0;        ///< minus the full cache's on the same prompts
  double quality_change_ci95[2] = {0, 0};
  double quality_change_p = 1;  ///< two-sided p-value of no change, of this row alone
  double quality_relative = 0;  ///< quality / quality of the full cache on the same prompts; NaN if that is 0
  double quality_relative_ci95[2] = {0, 0};
  double exact = 0;  ///< share of prompts whose greedy answer begins with an accepted one
  double exact_ci95[2] = {0, 0};
  double answer_log_likelihood = 0;  ///< nat per token of the gold answer
  /// Minus the full cache's on the same prompts; `answer_nll_change` in the file is the same with the other sign: what the answer
  /// costs more, in nat per token.
  double answer_log_likelihood_delta = 0;
  double answer_log_likelihood_delta_ci95[2] = {0, 0};
  double answer_log_likelihood_delta_p = 1;
  double fidelity_kl = 0;  ///< mean KL(full || pruned) over the positions of the gold answer, nat
  double logical_saving = 0, physical_saving = 0;
  double kv_bytes_peak = 0, kv_bytes_final = 0, kv_bytes_full = 0;  ///< mean over prompts
  double statistics_bytes_peak = 0;
  double entries_final = 0, entries_full = 0;
  double cells_final = 0, cells_peak = 0, cells_allocated = 0;         ///< of the runtime's cache (callback), mean over prompts
  std::int64_t peak_rss_bytes = 0;                                     ///< of the process while this record was measured
  double prefill_tokens_per_second = 0, decode_tokens_per_second = 0;  ///< of one worker
  int workers = 1, threads = 1;
  std::string version, commit;
  std::string store = "f16";                           ///< how keys and values were held
  std::string memory;                                  ///< fingerprint of the policy and what goes with it; "" in old files
  nlohmann::json settings = nlohmann::json::object();  ///< what all records of one evaluation have in common
  /// One by one, so that rows can be compared prompt by prompt. Empty in old files.
  struct Prompts {
    std::vector<std::string> units;  ///< equal ones are not independent (tasks::Sample::unit)
    std::vector<double> scores, exact, log_likelihoods;
  } prompts = {};
};

nlohmann::json to_json(const ResultRecord& record);
/// Throws std::runtime_error naming the field that is missing or of the wrong type.
ResultRecord record_from_json(const nlohmann::json& json);

}  // namespace namm::eval
