#include "core/probe/token_probe.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "base/json_fields.hpp"
#include "kernels/key_probe.hpp"

namespace namm {
namespace {

constexpr std::size_t kTogether = 16;   // tokens whose squares are made at once: they stay in the first cache
constexpr int kLargestCount = 1 << 16;  // of layers, heads and numbers per head that a file may claim

std::string shape(int heads, std::size_t keys, std::size_t values) {
  return std::to_string(heads) + " KV heads of " + std::to_string(keys) + " and " + std::to_string(values);
}

}  // namespace

std::size_t ProbeLayer::inputs(ProbeInput input) const {
  return input == ProbeInput::key ? key_size : static_cast<std::size_t>(kv_heads) * (key_size + value_size);
}

std::size_t ProbeLayer::width(ProbeInput input) const {
  return static_cast<std::size_t>(kv_heads) * (key_size + (input == ProbeInput::key ? 0 : value_size));
}

TokenProbe::TokenProbe(ProbeInput input, std::vector<ProbeLayer> layers) : input_(input), layers_(std::move(layers)) {
  for (const ProbeLayer& layer : layers_) {
    const std::size_t expected = static_cast<std::size_t>(layer.kv_heads) * (layer.inputs(input_) + 1);
    if (layer.weights.size() != expected)
      throw std::invalid_argument("probe: layer " + std::to_string(layer.layer) + " must have " + std::to_string(expected) +
                                  " weights, has " + std::to_string(layer.weights.size()));
    const std::size_t width = layer.scale.empty() ? 0 : layer.width(input_);
    const std::size_t squares = layer.scale.empty() ? 0 : static_cast<std::size_t>(layer.kv_heads) * layer.inputs(input_);
    if (layer.scale.centre.size() != width || layer.scale.scale.size() != width || layer.square_weights.size() != squares)
      throw std::invalid_argument("probe: layer " + std::to_string(layer.layer) + " must have squares of " +
                                  std::to_string(width) + " numbers and " + std::to_string(squares) + " weights for them");
  }
}

const ProbeLayer& TokenProbe::fitted(int layer, int kv_heads, std::size_t key_size, std::size_t value_size) const {
  const auto found =
      std::lower_bound(layers_.begin(), layers_.end(), layer, [](const ProbeLayer& one, int index) { return one.layer < index; });
  if (found != layers_.end() && found->layer == layer && found->kv_heads == kv_heads && found->key_size == key_size &&
      found->value_size == value_size)
    return *found;
  throw std::invalid_argument("probe: must be fitted on the model it is used with; layer " + std::to_string(layer) +
                              " of this model has " + shape(kv_heads, key_size, value_size) + ", the probe " +
                              (found == layers_.end() || found->layer != layer
                                   ? std::string("does not know that layer")
                                   : "knows " + shape(found->kv_heads, found->key_size, found->value_size)) +
                              "; run 'namm calibrate' on this model");
}

void TokenProbe::require_layers(std::span<const LayerDescription> cached) const {
  for (const LayerDescription& layer : cached)
    fitted(layer.layer, layer.kv_heads, static_cast<std::size_t>(layer.key_size), static_cast<std::size_t>(layer.value_size));
}

void TokenProbe::read(const LayerTokens& tokens, std::span<float> out) const {
  const ProbeLayer& layer = fitted(tokens.layer, tokens.kv_heads, tokens.key_size, tokens.value_size);
  const std::size_t count = tokens.count(), inputs = layer.inputs(input_), heads = static_cast<std::size_t>(tokens.kv_heads);
  const std::size_t key_width = tokens.key_size * heads, value_width = tokens.value_size * heads;
  for (std::size_t h = 0; h < heads; ++h)
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(h * count), count, layer.weights[h * (inputs + 1) + inputs]);
  add(layer, {tokens.keys, count, key_width, 0}, layer.weights.data(), inputs + 1, out.data(), count);
  if (input_ == ProbeInput::layer)
    add(layer, {tokens.values, count, value_width, key_width}, layer.weights.data(), inputs + 1, out.data(), count);
  if (layer.scale.empty()) return;
  std::vector<float> squares(std::min(count, kTogether) * std::max(key_width, value_width));
  const auto add_squares = [&](const float* numbers, std::size_t width, std::size_t first) {
    for (std::size_t i = 0; i < count; i += kTogether) {
      const std::size_t some = std::min(kTogether, count - i);
      squares_of(layer.scale, numbers + i * width, some, width, first, width, squares.data());
      add(layer, {squares.data(), some, width, first}, layer.square_weights.data(), inputs, out.data() + i, count);
    }
  };
  add_squares(tokens.keys, key_width, 0);
  if (input_ == ProbeInput::layer) add_squares(tokens.values, value_width, key_width);
}

void TokenProbe::add(const ProbeLayer& layer, const Numbers& numbers, const float* weights, std::size_t weight_stride,
                     float* scores, std::size_t score_stride) const {
  if (numbers.count == 0) return;  // nothing, which may be nowhere
  if (input_ == ProbeInput::layer)
    return kernels::probe_rows({numbers.data, numbers.width, numbers.count, numbers.width}, weights + numbers.first,
                               weight_stride, layer.kv_heads, scores, score_stride);
  for (std::size_t h = 0; h < static_cast<std::size_t>(layer.kv_heads); ++h)
    kernels::probe_rows({numbers.data + h * layer.key_size, numbers.width, numbers.count, layer.key_size},
                        weights + h * weight_stride, 0, 1, scores + h * score_stride, score_stride);
}

nlohmann::json TokenProbe::to_json() const {
  nlohmann::json layers = nlohmann::json::array();
  for (const ProbeLayer& layer : layers_) {
    layers.push_back({{"layer", layer.layer},
                      {"kv_heads", layer.kv_heads},
                      {"key_size", layer.key_size},
                      {"value_size", layer.value_size},
                      {"weights", detail::numbers_of(layer.weights)}});
    if (layer.scale.empty()) continue;
    layers.back()["square_centre"] = detail::numbers_of(layer.scale.centre);
    layers.back()["square_scale"] = detail::numbers_of(layer.scale.scale);
    layers.back()["square_weights"] = detail::numbers_of(layer.square_weights);
  }
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
    part.allow_only(
        {"layer", "kv_heads", "key_size", "value_size", "weights", "square_centre", "square_scale", "square_weights"});
    ProbeLayer layer;
    layer.layer = static_cast<int>(part.integer("layer", layers.empty() ? 0 : layers.back().layer + 1, kLargestCount));
    layer.kv_heads = static_cast<int>(part.integer("kv_heads", 1, kLargestCount));
    layer.key_size = static_cast<std::size_t>(part.integer("key_size", 1, kLargestCount));
    layer.value_size = static_cast<std::size_t>(part.integer("value_size", 1, kLargestCount));
    layer.weights = part.numbers("weights", static_cast<std::size_t>(layer.kv_heads) * (layer.inputs(input) + 1));
    if (part.has("square_weights") || part.has("square_centre") || part.has("square_scale")) {
      layer.scale.centre = part.numbers("square_centre", layer.width(input));
      layer.scale.scale = part.numbers("square_scale", layer.width(input));
      layer.square_weights = part.numbers("square_weights", static_cast<std::size_t>(layer.kv_heads) * layer.inputs(input));
    }
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
