#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace namm {

/// How much of the cache may be kept, before protection.
struct Budget {
  enum class Unit { unlimited, fraction, tokens, mebibytes };
  Unit unit = Unit::unlimited;
  double value = 0;  ///< fraction: (0, 1]; tokens: whole, per (layer, KV head); mebibytes: keys and values of all heads together

  /// Tokens per (layer, KV head) after `tokens_seen` tokens. `bytes_per_token` is the mean over heads of key + value bytes,
  /// `heads` the number of (layer, KV head) pairs; both are read for mebibytes only. At least 1.
  std::int64_t tokens(std::int64_t tokens_seen, double bytes_per_token, std::int64_t heads) const;
  friend bool operator==(const Budget&, const Budget&) = default;
};

/// "25%" and "0.25" are fractions, "256" tokens, "64MiB" memory, "none" unlimited. A number with a decimal point must be in (0,
/// 1]; "1" is one token, "1.0" and "100%" everything. Throws std::invalid_argument: subject, rule, value seen, remedy.
Budget parse_budget(std::string_view text);
std::string to_string(const Budget& budget);

}  // namespace namm
