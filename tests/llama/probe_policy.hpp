#pragma once
#include <memory>

#include "core/policies/key_probe.hpp"
#include "host/host.hpp"

namespace namm::test {

/// A probe of the host's shape that nothing was fitted to; another one for every seed.
inline std::shared_ptr<const Policy> probe_policy(const HostDescription& host, unsigned seed) {
  std::vector<ProbeLayer> layers;
  unsigned state = seed;
  for (const LayerDescription& layer : host.cached) {
    ProbeLayer one{
        layer.layer, layer.kv_heads, static_cast<std::size_t>(layer.key_size), static_cast<std::size_t>(layer.value_size), {}};
    one.weights.resize(static_cast<std::size_t>(layer.kv_heads) * (one.inputs(ProbeInput::layer) + 1));
    for (float& weight : one.weights)
      weight = static_cast<float>((state = state * 1664525u + 1013904223u) >> 16) / 65536.0f - 0.5f;
    layers.push_back(std::move(one));
  }
  return std::make_shared<KeyProbePolicy>(std::make_shared<TokenProbe>(ProbeInput::layer, std::move(layers)), 1.0f);
}

}  // namespace namm::test
