#include "namm/probe/token_probe.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/key_probe.hpp"
#include "namm/json_fields.hpp"

namespace namm {
namespace {

constexpr int kLargestCount = 1 << 16;  // of layers, heads and numbers per head that a file may claim

std::string shape(int heads, std::size_t keys, std::size_t values) {
  return std::to_string(heads) + " KV heads of " + std::to_string(keys) + " and " + std::to_string(values);
}

}  // namespace

std::size_t ProbeLayer::inputs(ProbeInput input) const {
  return input == ProbeInput::key ? key_size : static_cast<std::size_t>(kv_heads) * (key_size + value_size);
}

TokenProbe::TokenProbe(ProbeInput input, std::vector<ProbeLayer> layers) : input_(input), layers_(std::move(layers)) {
  for (const ProbeLayer& layer : layers_) {
    const std::size_t expected = static_cast<std::size_t>(layer.kv_heads) * (layer.inputs(input_) + 1);
    if (layer.weights.size() != expected)
      throw std::invalid_argument("probe: layer " + std::to_string(layer.layer) + " must have " + std::to_string(expected) +
                                  " weights, has " + std::to_string(layer.weights.size()));
  }
}

void TokenProbe::read(const LayerTokens& tokens, std::span<float> out) const {
  const auto found = std::lower_bound(layers_.begin(), layers_.end(), tokens.layer,
                                      [](const ProbeLayer& layer, int index) { return layer.layer < index; });
  if (found == layers_.end() || found->layer != tokens.layer || found->kv_heads != tokens.kv_heads ||
      found->key_size != tokens.key_size || found->value_size != tokens.value_size) {
    throw std::invalid_argument("probe: must be fitted on the model it is used with; layer " + std::to_string(tokens.layer) +
                                " of this model has " + shape(tokens.kv_heads, tokens.key_size, tokens.value_size) +
                                ", the probe " +
                                (found == layers_.end() || found->layer != tokens.layer
                                     ? std::string("does not know that layer")
                                     : "knows " + shape(found->kv_heads, found->key_size, found->value_size)) +
                                "; run 'namm calibrate' on this model");
  }
  const std::size_t count = tokens.count(), inputs = found->inputs(input_);
  const std::size_t key_width = tokens.key_size * static_cast<std::size_t>(tokens.kv_heads);
  const std::size_t value_width = tokens.value_size * static_cast<std::size_t>(tokens.kv_heads);
  const float* const weights = found->weights.data();
  for (std::size_t h = 0; h < static_cast<std::size_t>(tokens.kv_heads); ++h)
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(h * count), count, weights[h * (inputs + 1) + inputs]);
  const auto rows = [&](const float* data, std::size_t numbers, std::size_t width) {
    return kernels::TokenRows{data, kernels::RowType::f32, width * sizeof(float), count, numbers};
  };
  if (input_ == ProbeInput::key) {
    for (std::size_t h = 0; h < static_cast<std::size_t>(tokens.kv_heads); ++h)
      kernels::probe_rows(rows(tokens.keys + h * tokens.key_size, tokens.key_size, key_width), weights + h * (inputs + 1), 0, 1,
                          out.data() + h * count, count);
  } else {
    kernels::probe_rows(rows(tokens.keys, key_width, key_width), weights, inputs + 1, tokens.kv_heads, out.data(), count);
    kernels::probe_rows(rows(tokens.values, value_width, value_width), weights + key_width, inputs + 1, tokens.kv_heads,
                        out.data(), count);
  }
}

nlohmann::json TokenProbe::to_json() const {
  nlohmann::json layers = nlohmann::json::array();
  for (const ProbeLayer& layer : layers_)
    layers.push_back({{"layer", layer.layer},
                      {"kv_heads", layer.kv_heads},
                      {"key_size", layer.key_size},
                      {"value_size", layer.value_size},
                      {"weights", detail::numbers_of(layer.weights)}});
  return {{"input", to_string(input_)}, {"layers", layers}};
}

std::shared_ptr<const TokenProbe> TokenProbe::from_json(const nlohmann::json& json, const std::string& path) {
  const detail::JsonFields fields(json, path);
  fields.allow_only({"input", "layers"});
  ProbeInput input;
  try {
    input = parse_probe_input(fields.text("input"));
  } catch (const std::invalid_argument&) {
    fields.refuse("input", "key or layer");
  }
  if (!fields.need("layers").is_array() || fields.need("layers").empty()) fields.refuse("layers", "a list with a layer or more");
  std::vector<ProbeLayer> layers;
  for (const nlohmann::json& one : fields.need("layers")) {
    const detail::JsonFields part(one, path + "layers[" + std::to_string(layers.size()) + "].");
    part.allow_only({"layer", "kv_heads", "key_size", "value_size", "weights"});
    ProbeLayer layer;
    layer.layer = static_cast<int>(part.integer("layer", layers.empty() ? 0 : layers.back().layer + 1, kLargestCount));
    layer.kv_heads = static_cast<int>(part.integer("kv_heads", 1, kLargestCount));
    layer.key_size = static_cast<std::size_t>(part.integer("key_size", 1, kLargestCount));
    layer.value_size = static_cast<std::size_t>(part.integer("value_size", 1, kLargestCount));
    layer.weights = part.numbers("weights", static_cast<std::size_t>(layer.kv_heads) * (layer.inputs(input) + 1));
    layers.push_back(std::move(layer));
  }
  return std::make_shared<TokenProbe>(input, std::move(layers));
}

ProbeInput parse_probe_input(std::string_view name) {
  if (name == "key") return ProbeInput::key;
  if (name == "layer") return ProbeInput::layer;
  throw std::invalid_argument("probe input: must be key or layer, is '" + std::string(name.substr(0, 40)) + "'");
}

std::string_view to_string(ProbeInput input) {
  return input == ProbeInput::key ? "key" : "layer";
}

}  // namespace namm
