#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm {

/// Keys and values of tokens of one layer, float rows: token i at keys + i * key_stride, all KV heads of the layer one behind the
/// other, [kv_heads * key_size]. Null where the policy does not read them.
struct TokenRows {
  const float* keys = nullptr;
  std::size_t key_stride = 0;
  const float* values = nullptr;
  std::size_t value_stride = 0;
};

/// Queries of one layer and the keys they meet, in place of rows of attention.
struct QueryRows {
  int query_heads = 0;
  const float* queries = nullptr;  ///< row r at queries + r * query_stride, [query_heads * key_size]
  std::size_t query_stride = 0;
  const float* const* keys = nullptr;  ///< per KV head the keys of its list, entry e at keys[head] + e * key_stride
  std::size_t key_stride = 0;
  float scale = 1;               ///< of the products
  float softcap = 0;             ///< logits become softcap * tanh(logit / softcap); 0 = off
  const float* sinks = nullptr;  ///< one logit per query head that takes probability and gives no value, or null
};

/// What a policy knows of one sequence in a cache that somebody else holds: the statistics of every (layer, KV head), and which
/// tokens stay. It holds no keys and values.
///
///     layer by layer:  append -> observe of every head          when due(): update -> the runtime gathers by kept()
class PolicySequence {
 public:
  /// `bytes_per_number` of the runtime's keys and values: budgets in MiB. Layers with a window drop what the next token will not
  /// see; the policy decides about the others. Throws std::invalid_argument for layers that repeat or have no heads, and for what
  /// require_valid() and the policy's reader refuse.
  PolicySequence(CachePolicy policy, std::vector<LayerDescription> layers, double bytes_per_number = 2);

  /// Tokens on their way into one layer's cache. Throws std::invalid_argument if positions do not ascend or something the policy
  /// reads is missing; nothing is changed then.
  void append(int layer, std::span<const std::int32_t> positions, const TokenRows& rows);
  /// HeadStatistics::observe() of one head. Nothing happens where the policy reads no attention.
  void observe(int layer, int kv_head, std::span<const float> attention, int rows, std::size_t stride,
               std::int32_t first_position);
  /// Whether observe() of the head does anything.
  bool observes(int layer, int kv_head) const { return heads_[head_index(layer, kv_head)].settings().needed.reads_attention(); }
  /// The same for all heads of the layer, from queries and keys: a query sees entries up to its own position.
  void observe_queries(int layer, int rows, std::int32_t first_position, const QueryRows& from);

  /// True if a multiple of the policy's interval was passed since the last update.
  bool due() const;
  /// Decides, and forgets what is dropped. Throws std::invalid_argument unless all layers were given the same number of tokens.
  void update();
  /// Of the newest update: ascending indices into what the head held before. Throws std::invalid_argument if there was none since
  /// the sequence began or was restored.
  std::span<const std::int32_t> kept(int layer, int kv_head) const;
  /// What the policy gives for each token that the head holds, as an update now would see it: higher = keep. Throws
  /// std::invalid_argument for a layer with a window, about which it is not asked, and for `full`, which has no scores.
  std::vector<float> scores(int layer, int kv_head) const;
  /// Positions of what the head holds, ascending.
  std::span<const std::int32_t> positions(int layer, int kv_head) const;
  /// Everything is forgotten but the settings and the peaks.
  void clear();

  std::vector<std::byte> save() const;
  /// Throws std::runtime_error, and changes nothing, if it is damaged or was saved by another policy or with other layers.
  void restore(std::span<const std::byte> saved);

  /// Entries, statistics, updates. Bytes of keys and values are the runtime's to know: kv_bytes are what the entries need.
  CacheUsage usage() const;
  const CachePolicy& policy() const { return policy_; }
  const std::vector<LayerDescription>& layers() const { return layers_; }
  std::int64_t tokens_seen() const;

 private:
  struct Layer {
    std::size_t first_head = 0;  // its heads' place in heads_
    std::int64_t tokens = 0;     // appended so far
  };
  std::size_t layer_index(int layer) const;
  std::size_t head_index(int layer, int kv_head) const;
  bool decides(std::size_t layer) const { return layers_[layer].window == 0; }
  double bytes_per_token(bool decided_only) const;
  std::string fingerprint() const;
  HeadTokens view(std::size_t layer, int kv_head) const;
  void select_by_policy();
  void leave_windows();
  void note_peaks();

  CachePolicy policy_;
  std::vector<LayerDescription> layers_;
  double bytes_per_number_;
  std::vector<Layer> states_;          // one per layer
  std::vector<HeadStatistics> heads_;  // layer by layer
  std::vector<std::vector<std::int32_t>> kept_;
  bool selected_ = false;        // kept_ is of an update
  std::int64_t updated_at_ = 0;  // tokens seen at the newest update
  CacheUsage usage_;
};

}  // namespace namm
