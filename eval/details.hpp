#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace namm::eval {

/// A prompt of an evaluation, token by token. Line `"record": "prompt"` of a details file.
struct PromptDetails {
  std::string model, task;
  std::int64_t length_tokens = 0;
  std::string prompt;               ///< id of the sample
  std::vector<std::string> pieces;  ///< text of each token, whole characters; "" for control tokens
  std::string kinds;                ///< of each token (token_kinds.hpp)
  /// First and last token of each sentence that tells the answer; empty if unknown.
  std::vector<std::pair<std::int64_t, std::int64_t>> evidence;
};

/// What one policy did with a prompt, when the answer begins. Line `"record": "retention"`.
struct RetentionDetails {
  std::string model, policy, task, budget, mode;
  std::string memory;  ///< fingerprint of the policy, as in ResultRecord; "" in old files
  std::int64_t length_tokens = 0;
  int interval_tokens = 0;
  std::string prompt;
  struct Head {
    int layer = 0, kv_head = 0;
    std::int64_t kept = 0;  ///< tokens of the prompt
  };
  std::vector<Head> heads;            ///< by layer, then head
  std::vector<std::int32_t> kept_by;  ///< per token of the prompt, how many heads kept it
  struct Point {
    std::int64_t tokens = 0, kv_bytes = 0;
    std::int64_t statistics_bytes = -1;  ///< -1: not recorded, in files of before
  };
  std::vector<Point> timeline;  ///< bytes held behind every update
  std::int64_t kv_bytes_full = 0;
  double score = 0, answer_log_likelihood_delta = 0;
};

nlohmann::json to_json(const PromptDetails& details);
nlohmann::json to_json(const RetentionDetails& details);
/// Throw std::runtime_error naming the field that is missing, of the wrong type or out of range, or does not fit another.
PromptDetails prompt_details_from_json(const nlohmann::json& json);
RetentionDetails retention_details_from_json(const nlohmann::json& json);

}  // namespace namm::eval
