#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm {

/// How much of the cache may be kept, before protection.
struct Budget {
  enum class Unit { unlimited, fraction, tokens, mebibytes, byte_fraction };
  Unit unit = Unit::unlimited;
  /// fraction: (0, 1] of the tokens seen; tokens: whole, per (layer, KV head); mebibytes: keys and values of all heads together;
  /// byte_fraction: (0, 1] of the bytes that keys and values of all tokens seen would take in 16 bits, in a cache that is not
  /// ours in its own type
  double value = 0;

  /// Tokens per (layer, KV head) after `tokens_seen` tokens. `bytes_per_token` is the mean over heads of key + value bytes as
  /// they are held, `heads` the number of (layer, KV head) pairs, both read for mebibytes only; `compression` what a token takes
  /// in 16 bits over what it takes as it is held, for byte_fraction. At least 1.
  std::int64_t tokens(std::int64_t tokens_seen, double bytes_per_token, std::int64_t heads, double compression = 1) const;
  friend bool operator==(const Budget&, const Budget&) = default;
};

/// "25%" and "0.25" are fractions, "256" tokens, "64MiB" and "12.5%bytes" memory, "none" unlimited. A number with a decimal point
/// must be in (0, 1]; "1" is one token, "1.0" and "100%" everything. Throws std::invalid_argument: subject, rule, value seen,
/// remedy.
Budget parse_budget(std::string_view text);
std::string to_string(const Budget& budget);

/// How scores become kept tokens.
enum class SelectionMode {
  uniform,    ///< every (layer, KV head) keeps the same number: its best
  pooled,     ///< one budget over all (layer, KV head) by comparing scores across heads
  threshold,  ///< keep score >= 0
  reference,  ///< spec section 6: threshold, then at most the budget, then every head filled up to the largest count of its layer
};
SelectionMode parse_selection_mode(std::string_view name);  ///< throws std::invalid_argument with the nearest names
std::string_view to_string(SelectionMode mode);

struct SelectionSettings {
  SelectionMode mode = SelectionMode::uniform;
  Budget budget;
  int sinks = 4;    ///< the first positions (0 .. sinks-1) are never dropped; ignored by `reference`
  int recent = 16;  ///< nor the newest this many positions; at least the newest is always kept
  friend bool operator==(const SelectionSettings&, const SelectionSettings&) = default;
};

/// One (layer, KV head): scores and positions (ascending) of its cached tokens, same length.
struct ScoredHead {
  int layer = 0;
  std::span<const float> scores;
  std::span<const std::int32_t> positions;
};

struct Selection {
  std::vector<std::vector<std::int32_t>> kept;  ///< per head, ascending indices into its tokens
  std::int64_t nan_scores = 0;                  ///< NaN scores met; they count as the lowest
};

/// Pure and deterministic: ties go to the newer token, across heads to the earlier head. Protected tokens count within the
/// budget and are kept even where it is smaller. Never drops the newest token. `budget_tokens` per head (Budget::tokens),
/// < 0 = unlimited; `pooled` shares budget_tokens * heads.size(); `threshold` and `reference` keep at most the budget too.
/// Recent tokens are counted back from each head's newest position. O(tokens) but for the sorting of the kept indices.
/// Throws std::invalid_argument on a length mismatch.
Selection select(const SelectionSettings& settings, std::span<const ScoredHead> heads, std::int64_t budget_tokens);

}  // namespace namm
