#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/policies/key_probe.hpp"
#include "namm/cache_usage.hpp"

namespace namm::test {

/// A calibrated policy for these layers that nothing was fitted to; another one for every seed.
inline std::shared_ptr<const Policy> probe_policy(std::span<const LayerDescription> cached, unsigned seed,
                                                  ProbeInput input = ProbeInput::layer, bool squares = false) {
  unsigned state = seed;
  const auto numbers = [&](std::size_t count, float largest) {
    std::vector<float> out(count);
    for (float& number : out)
      number = largest * 2 * (static_cast<float>((state = state * 1664525u + 1013904223u) >> 16) / 65536.0f - 0.5f);
    return out;
  };
  std::vector<ProbeLayer> layers;
  for (const LayerDescription& layer : cached) {
    ProbeLayer one{
        layer.layer, layer.kv_heads, static_cast<std::size_t>(layer.key_size), static_cast<std::size_t>(layer.value_size), {}};
    const std::size_t heads = static_cast<std::size_t>(layer.kv_heads);
    one.weights = numbers(heads * (one.inputs(input) + 1), 0.5f);
    if (squares) {
      one.scale.centre = numbers(one.width(input), 0.5f);
      one.scale.scale = numbers(one.width(input), 2);  // some squares are above their bound
      one.square_weights = numbers(heads * one.inputs(input), 0.5f);
    }
    layers.push_back(std::move(one));
  }
  std::vector<float> evenness;
  for (const LayerDescription& layer : cached)
    for (int head = 0; head < layer.kv_heads; ++head) evenness.push_back(0.25f + 0.5f * static_cast<float>(head % 2));
  return std::make_shared<KeyProbePolicy>(std::make_shared<TokenProbe>(input, std::move(layers)), 2.0f, std::move(evenness));
}

}  // namespace namm::test
