#include "trace/retained.hpp"

#include <algorithm>
#include <span>

namespace namm::trace {
namespace {

double contribution(const LayerRecord& layer, std::size_t head, std::size_t first) {
  const auto attention = layer.token_values(head, Layout::answer), norms = layer.token_values(head, Layout::value_norm);
  double sum = 0;
  for (std::size_t t = first; t < attention.size(); ++t) {
    const double change = static_cast<double>(attention[t]) * norms[t];
    sum += change * change;
  }
  return sum;
}

}  // namespace

std::vector<double> head_weights(const Reader& trace, HeadWeights kind, int sinks) {
  std::vector<double> out(trace.settings().heads(), 1.0);
  if (kind == HeadWeights::contribution) {
    std::fill(out.begin(), out.end(), 0.0);
    for (const PromptRecord* const prompt : trace.training_prompts()) {
      std::size_t number = 0;
      for (const LayerRecord& layer : prompt->layers)
        for (std::size_t h = 0; h < layer.layer().heads.size(); ++h)
          out[number++] += contribution(layer, h, static_cast<std::size_t>(std::max(sinks, 0)));
    }
  }
  double sum = 0;
  for (const double weight : out) sum += weight;
  for (double& weight : out) weight = sum > 0 ? weight / sum : 1.0 / static_cast<double>(out.size());
  return out;
}

double retained_attention(const PromptRecord& prompt, const std::vector<std::vector<std::int32_t>>& kept,
                          const std::vector<double>& weights, int sinks) {
  const auto first = static_cast<std::size_t>(std::max(sinks, 0));
  double out = 0;
  std::size_t number = 0;
  for (const LayerRecord& layer : prompt.layers)
    for (std::size_t h = 0; h < layer.layer().heads.size(); ++h, ++number) {
      const std::span<const float> attention = layer.token_values(h, Layout::answer);
      double all = 0, held = 0;
      for (std::size_t t = first; t < attention.size(); ++t) all += static_cast<double>(attention[t]);
      for (const std::int32_t t : kept[number])
        if (static_cast<std::size_t>(t) >= first) held += static_cast<double>(attention[static_cast<std::size_t>(t)]);
      out += weights[number] * (all > 0 ? held / all : 1.0);
    }
  return out;
}

}  // namespace namm::trace
