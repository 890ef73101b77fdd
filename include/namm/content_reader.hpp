#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "namm/cache_usage.hpp"

namespace namm {

/// The rotary embedding of one layer.
class Rotation {
 public:
  virtual ~Rotation() = default;
  /// Turns vectors to their places, in place: [positions][per_position][key_size].
  virtual void turn(std::span<float> vectors, std::size_t per_position, std::span<const std::int32_t> positions) const = 0;
};

/// Keys and values of tokens on their way into the cache of one layer.
struct LayerTokens {
  int layer = 0;  ///< index in the model
  int kv_heads = 0;
  std::size_t key_size = 0, value_size = 0;  ///< numbers per KV head
  std::span<const std::int32_t> positions;   ///< [count], ascending
  const float* keys = nullptr;               ///< [count][kv_heads * key_size], before rotary embedding
  const float* values = nullptr;             ///< [count][kv_heads * value_size]
  const Rotation* rotation = nullptr;        ///< of the keys, for the time of the call; null if the model has none
  std::size_t count() const { return positions.size(); }
};

/// Queries of one layer.
struct LayerQueries {
  int layer = 0;
  std::size_t heads = 0, key_size = 0;
  std::span<const std::int32_t> positions;  ///< [count], ascending
  const float* queries = nullptr;           ///< [count][heads * key_size], before rotary embedding
  float scale = 1;                          ///< of the products of queries and keys
  const Rotation* rotation = nullptr;       ///< of queries and keys, for the time of the call; null if the model has none
  std::size_t count() const { return positions.size(); }
};

/// Reads what a token *is*, once, when it enters the cache: one number per token and KV head that stays with it
/// (Statistic::content). Keys are given before rotary embedding, because what a key says about its token must not depend on where
/// the token stands. Called from several threads at once, for different layers or sequences.
class ContentReader {
 public:
  virtual ~ContentReader() = default;
  /// out: [kv_heads][count]. Throws std::invalid_argument if the layer is not one it was made for.
  virtual void read(const LayerTokens& tokens, std::span<float> out) const = 0;
  /// Called before the first token: throws std::invalid_argument if it was not made for a model with these cached layers.
  virtual void require_layers(std::span<const LayerDescription>) const {}
  /// Whether it wants read_queries(), which comes after read() of the same tokens.
  virtual bool reads_queries() const { return false; }
  virtual void read_queries(const LayerQueries&) const {}
};

}  // namespace namm
