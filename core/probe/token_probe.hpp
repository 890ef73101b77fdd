#pragma once
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/probe/squares.hpp"
#include "namm/content_reader.hpp"

namespace namm {

/// What a probe reads of a token.
enum class ProbeInput {
  key,   ///< the head's own key
  layer  ///< keys and values of all KV heads of the layer: what is left of the hidden state
};

/// Shape of the cache in one layer, and the probe's weights for it.
struct ProbeLayer {
  int layer = 0;
  int kv_heads = 0;
  std::size_t key_size = 0, value_size = 0;  ///< numbers per KV head
  std::vector<float> weights;                ///< [kv_heads][inputs + 1], the constant last
  SquareScale scale{};                       ///< of the numbers of a token, width() of them; empty = no squares are read
  std::vector<float> square_weights{};       ///< [kv_heads][inputs], if there is a scale
  std::size_t inputs(ProbeInput input) const;
  std::size_t width(ProbeInput input) const;  ///< what all heads read together: keys, and values behind them
};

/// Read-outs, one per (layer, KV head), of what a token is when it enters the cache: an estimate of ln(attention it will
/// receive), and of the size of its value beside others of the head unless the fit left that out; linear in the token's numbers
/// and, if a layer has a scale, in their squares. Specific to one model; fitted in closed form by `namm calibrate`. One dot
/// product (or two) per token and head, no attention probabilities. Immutable.
class TokenProbe final : public ContentReader {
 public:
  /// Layers ascending. Throws std::invalid_argument on a wrong number of weights.
  TokenProbe(ProbeInput input, std::vector<ProbeLayer> layers);
  void read(const LayerTokens& tokens, std::span<float> out) const override;
  void require_layers(std::span<const LayerDescription> cached) const override;
  ProbeInput input() const { return input_; }
  const std::vector<ProbeLayer>& layers() const { return layers_; }
  /// The layer's part. Throws std::invalid_argument unless it was fitted on one of this shape.
  const ProbeLayer& fitted(int layer, int kv_heads, std::size_t key_size, std::size_t value_size) const;

  /// {"input": "key" or "layer", "layers": [{"layer", "kv_heads", "key_size", "value_size", "weights"}, ...]}; layers with
  /// squares have "square_centre", "square_scale" and "square_weights" too.
  nlohmann::json to_json() const;
  /// Throws std::runtime_error (subject, rule, value seen). `path` is what stands before the fields' names, e.g. "policy.probe.".
  static std::shared_ptr<const TokenProbe> from_json(const nlohmann::json& fields, const std::string& path);

 private:
  struct Numbers {  // of `count` tokens, [count][width], which begin at number `first` of what all heads read
    const float* data;
    std::size_t count, width, first;
  };
  /// Adds the dot products of every head with its part of `numbers`.
  void add(const ProbeLayer& layer, const Numbers& numbers, const float* weights, std::size_t weight_stride, float* scores,
           std::size_t score_stride) const;

  ProbeInput input_;
  std::vector<ProbeLayer> layers_;
};

/// Throws std::invalid_argument.
ProbeInput parse_probe_input(std::string_view name);
std::string_view to_string(ProbeInput input);

}  // namespace namm
