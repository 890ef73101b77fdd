#pragma once
#include <map>
#include <vector>

#include "core/probe/token_probe.hpp"
#include "namm/policy.hpp"

namespace namm::calibrate {

/// A range of positions, [begin, end).
struct PositionRange {
  std::int32_t begin = 0, end = 0;
};

/// A policy that keeps everything and remembers, of the first `context_tokens` tokens of a sequence, what a probe reads, how
/// large their values are, and the largest attention (mean over the query heads of a group) that the queries at some positions
/// paid them. For one sequence.
class Recorder final : public Policy, private ContentReader, private AttentionListener {
 public:
  Recorder(ProbeInput input, std::int32_t context_tokens, std::vector<PositionRange> queries);

  struct Layer {
    int kv_heads = 0;
    std::size_t key_size = 0, value_size = 0;
    std::vector<float> inputs;                  ///< [token][width]: keys of all heads, behind them the values if `layer` is read
    std::vector<std::vector<float>> attention;  ///< [kv_head][token]
    /// [kv_head][token]: ln of the Euclidean norm of the token's value, at least -14.
    std::vector<std::vector<float>> value_log_norms;
    std::size_t width = 0;
  };
  /// By index in the model.
  const std::map<int, Layer>& layers() const { return layers_; }
  std::size_t context_tokens() const { return static_cast<std::size_t>(context_tokens_); }

  std::string_view name() const override { return "recorder"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return this; }
  const AttentionListener* listener() const override { return this; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  /// A recorder is one sequence's; throws std::logic_error.
  std::unique_ptr<Policy> clone() const override;
  nlohmann::json to_json() const override;

 private:
  void read(const LayerTokens& tokens, std::span<float> out) const override;
  void observe(const AttentionRows& rows) const override;

  ProbeInput input_;
  std::int32_t context_tokens_;
  std::vector<PositionRange> queries_;
  // A layer is read before its heads are observed, and heads have vectors of their own: threads do not meet.
  mutable std::map<int, Layer> layers_;
};

}  // namespace namm::calibrate
