#include "cli/trace_heads.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <stdexcept>

#include "cli/options.hpp"

namespace namm::cli {
namespace {

int number_from(std::string_view text, int low, const std::string& option, const std::string& whole) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low)
    throw std::invalid_argument(option + ": must be all" + (option == "--layers" ? ", every:N" : "") +
                                " or numbers separated by commas, is \"" + whole + "\"; see --help");
  return value;
}

std::vector<int> numbers_from(const std::string& text, const std::string& option) {
  std::vector<int> out;
  for (const std::string& part : split_list(text, option)) out.push_back(number_from(part, 0, option, text));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

std::vector<trace::RecordedLayer> recorded_layers(const HostDescription& host, const std::string& layers,
                                                  const std::string& heads) {
  std::vector<LayerDescription> global;
  for (const LayerDescription& layer : host.cached)
    if (layer.window == 0) global.push_back(layer);
  std::vector<LayerDescription> chosen;
  if (layers == "all" || layers.starts_with("every:")) {
    const auto step = layers == "all" ? 1 : number_from(std::string_view(layers).substr(6), 1, "--layers", layers);
    for (std::size_t i = 0; i < global.size(); i += static_cast<std::size_t>(step)) chosen.push_back(global[i]);
  } else {
    for (const int wanted : numbers_from(layers, "--layers")) {
      const auto found = std::find_if(global.begin(), global.end(), [&](const auto& layer) { return layer.layer == wanted; });
      if (found == global.end())
        throw std::invalid_argument("--layers: must be layers with a global KV cache, layer " + std::to_string(wanted) +
                                    " is none; 'namm inspect MODEL' lists them");
      chosen.push_back(*found);
    }
  }
  std::vector<trace::RecordedLayer> out;
  for (const LayerDescription& layer : chosen) {
    trace::RecordedLayer recorded{layer, {}};
    if (heads == "all") {
      recorded.heads.resize(static_cast<std::size_t>(layer.kv_heads));
      std::iota(recorded.heads.begin(), recorded.heads.end(), 0);
    } else {
      recorded.heads = numbers_from(heads, "--heads");
      if (recorded.heads.back() >= layer.kv_heads)
        throw std::invalid_argument("--heads: must be below the " + std::to_string(layer.kv_heads) + " KV heads of layer " +
                                    std::to_string(layer.layer) + ", is " + std::to_string(recorded.heads.back()) +
                                    "; leave it out");
    }
    out.push_back(std::move(recorded));
  }
  return out;
}

}  // namespace namm::cli
