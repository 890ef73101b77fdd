// Updates of a sequence, and what it counts.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "adapters/c/policy_sequence.hpp"

namespace namm {

HeadTokens PolicySequence::view(std::size_t layer, int kv_head) const {
  HeadTokens out = heads_[states_[layer].first_head + static_cast<std::size_t>(kv_head)].view();
  out.layer = layers_[layer].layer;
  out.kv_head = kv_head;
  out.tokens_seen = tokens_seen();
  return out;
}

std::vector<float> PolicySequence::scores(int layer, int kv_head) const {
  const std::size_t index = layer_index(layer);
  head_index(layer, kv_head);  // refuses what is none
  if (!decides(index))
    throw std::invalid_argument("scores: layer " + std::to_string(layer) +
                                " must have no window, has one; no policy decides there");
  if (!policy_.policy || policy_.policy->keeps_everything())
    throw std::invalid_argument("scores: the policy must be one that scores, is full; it keeps everything");
  const HeadTokens tokens = view(index, kv_head);
  std::vector<float> out(tokens.size());
  policy_.policy->score(tokens, out);
  return out;
}

void PolicySequence::select_by_policy() {
  std::vector<HeadTokens> views;
  std::vector<std::size_t> numbers;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (!decides(l)) continue;
    for (int h = 0; h < layers_[l].kv_heads; ++h) {
      numbers.push_back(states_[l].first_head + static_cast<std::size_t>(h));
      views.push_back(view(l, h));
    }
  }
  Selection selection = update_heads(policy_, views, tokens_seen(), bytes_per_token(true));
  for (std::size_t i = 0; i < numbers.size(); ++i) kept_[numbers[i]] = std::move(selection.kept[i]);
  usage_.nan_scores += selection.nan_scores;
}

void PolicySequence::leave_windows() {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (decides(l)) continue;
    for (std::size_t h = 0; h < static_cast<std::size_t>(layers_[l].kv_heads); ++h) {
      const auto positions = heads_[states_[l].first_head + h].view().positions;
      auto& kept = kept_[states_[l].first_head + h];
      // the next token, at newest + 1, sees the `window` positions that end with its own
      const std::int64_t first = positions.empty() ? 0 : std::int64_t{positions.back()} + 2 - layers_[l].window;
      const auto begin = std::lower_bound(positions.begin(), positions.end(), first) - positions.begin();
      kept.resize(positions.size() - static_cast<std::size_t>(begin));
      std::iota(kept.begin(), kept.end(), static_cast<std::int32_t>(begin));
    }
  }
}

void PolicySequence::update() {
  for (std::size_t l = 0; l < layers_.size(); ++l)
    if (states_[l].tokens != states_[0].tokens)
      throw std::invalid_argument("update: all layers must have been given the same number of tokens, layer " +
                                  std::to_string(layers_[l].layer) + " has " + std::to_string(states_[l].tokens) + " and layer " +
                                  std::to_string(layers_[0].layer) + " " + std::to_string(states_[0].tokens) +
                                  "; update between two batches");
  note_peaks();
  select_by_policy();
  leave_windows();
  for (std::size_t h = 0; h < heads_.size(); ++h)
    if (kept_[h].size() < heads_[h].size()) heads_[h].keep(kept_[h]);
  selected_ = true;
  updated_at_ = tokens_seen();
  ++usage_.updates;
}

double PolicySequence::bytes_per_token(bool decided_only) const {
  double sum = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l)
    if (decides(l) || !decided_only)
      sum += static_cast<double>(layers_[l].kv_heads) * (layers_[l].key_size + layers_[l].value_size) * bytes_per_number_;
  return sum;
}

void PolicySequence::note_peaks() {
  const CacheUsage now = usage();
  usage_.entries_peak = now.entries_peak;
  usage_.kv_bytes_peak = now.kv_bytes_peak;
  usage_.statistics_bytes_peak = now.statistics_bytes_peak;
}

CacheUsage PolicySequence::usage() const {
  CacheUsage out = usage_;
  out.tokens_seen = tokens_seen();
  double held = 0, full = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LayerDescription& layer = layers_[l];
    const std::int64_t whole = layer.window > 0 ? std::min<std::int64_t>(states_[l].tokens, layer.window) : states_[l].tokens;
    const double bytes = static_cast<double>(layer.key_size + layer.value_size) * bytes_per_number_;
    out.entries_full += whole * layer.kv_heads;
    full += static_cast<double>(whole) * layer.kv_heads * bytes;
    for (std::size_t h = 0; h < static_cast<std::size_t>(layer.kv_heads); ++h) {
      const HeadStatistics& head = heads_[states_[l].first_head + h];
      out.entries += static_cast<std::int64_t>(head.size());
      held += static_cast<double>(head.size()) * bytes;
      out.statistics_bytes += static_cast<std::int64_t>(head.bytes());
    }
  }
  out.kv_bytes = static_cast<std::int64_t>(held);
  out.kv_bytes_full = static_cast<std::int64_t>(full);
  out.entries_peak = std::max(out.entries_peak, out.entries);
  out.kv_bytes_peak = std::max(out.kv_bytes_peak, out.kv_bytes);
  out.statistics_bytes_peak = std::max(out.statistics_bytes_peak, out.statistics_bytes);
  return out;
}

}  // namespace namm
