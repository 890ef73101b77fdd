#include "trace/replay.hpp"

#include <numeric>
#include <stdexcept>

#include "namm/cache_policy.hpp"

namespace namm::trace {
namespace {

/// What one head's policy sees, gathered for the tokens that are left.
struct Gathered {
  std::vector<float> spectrogram, accumulated, queries_seen, last_row, window_mean, key_norm, value_norm, content;
};

void gather(std::span<const float> from, std::span<const std::int32_t> positions, std::size_t width, std::vector<float>& to) {
  to.resize(positions.size() * width);
  for (std::size_t i = 0; i < positions.size(); ++i)
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(positions[i]) * width), width,
                to.begin() + static_cast<std::ptrdiff_t>(i * width));
}

void refuse(bool bad, const std::string& message) {
  if (bad) throw std::invalid_argument(message);
}

void check(const Settings& settings, const CachePolicy& memory, const Content* content) {
  refuse(memory.interval_tokens % settings.interval_tokens != 0,
         "trace: the interval must be a multiple of the recorded " + std::to_string(settings.interval_tokens) + " tokens, is " +
             std::to_string(memory.interval_tokens) + "; record with namm trace --interval, or change --interval");
  if (!memory.policy && !memory.observer) return;
  const StatisticSet needed = memory.required(), there = settings.statistics();
  const std::string policy(memory.policy ? memory.policy->name() : memory.observer->name());
  refuse((needed.has(Statistic::spectrogram) && !there.has(Statistic::spectrogram)) ||
             (needed.has(Statistic::window_mean) && !there.has(Statistic::window_mean)),
         "trace: must hold spectrogram and window for policy " + policy + ", has sums only; record with --statistics all");
  refuse(needed.has(Statistic::spectrogram) && memory.spectrogram.decay != settings.spectrogram.decay,
         "trace: the spectrogram must decay as recorded, by " + std::to_string(settings.spectrogram.decay) + ", is " +
             std::to_string(memory.spectrogram.decay) + "; record again with this policy's decay");
  const bool blind = needed.has(Statistic::content) && content == nullptr;
  refuse(blind && !there.has(Statistic::content),
         "trace: must hold keys for policy " + policy + ", has none; record with --keys f16");
  refuse(blind, "trace: policy " + policy + " needs a probe fitted to the model; run 'namm calibrate' and give its policy file");
}

}  // namespace

Replay::Replay(const Settings& settings, const PromptRecord& record, const CachePolicy& memory,
               std::shared_ptr<const Content> content)
    : settings_(settings), record_(record), memory_(memory), content_(std::move(content)), kept_(settings.heads()) {
  check(settings, memory, content_.get());
}

void Replay::advance(std::size_t until) {
  const std::vector<std::size_t>& points = record_.layers.front().layout().updates();
  for (std::size_t u = 0; u < points.size(); ++u)
    if (points[u] <= until && points[u] % static_cast<std::size_t>(memory_.interval_tokens) == 0) update_at(u);
}

void Replay::update() {
  update_at(record_.layers.front().layout().updates().size() - 1);
}

void Replay::update_at(std::size_t point) {
  const std::size_t now = record_.layers.front().layout().updates()[point];
  for (std::vector<std::int32_t>& kept : kept_) {
    const std::size_t before = kept.size();
    kept.resize(before + now - seen_);
    std::iota(kept.begin() + static_cast<std::ptrdiff_t>(before), kept.end(), static_cast<std::int32_t>(seen_));
  }
  seen_ = now;
  if (!memory_.updates()) return;
  const StatisticSet needed = memory_.required();
  std::vector<Gathered> gathered(kept_.size());
  std::vector<HeadTokens> heads(kept_.size());
  std::size_t number = 0;
  for (const LayerRecord& layer : record_.layers)
    for (std::size_t h = 0; h < layer.layer().heads.size(); ++h, ++number) {
      const std::span<const std::int32_t> kept(kept_[number]);
      const UpdateStatistics statistics = layer.statistics(h, point);
      Gathered& g = gathered[number];
      HeadTokens& head = heads[number];
      head.layer = layer.layer().shape.layer;
      head.kv_head = layer.layer().heads[h];
      head.tokens_seen = static_cast<std::int64_t>(now);
      head.positions = kept;
      const auto fill = [&](Statistic which, std::span<const float> from, std::size_t width, std::vector<float>& to,
                            std::span<const float>& view) {
        if (!needed.has(which)) return;
        gather(from, kept, width, to);
        view = to;
      };
      fill(Statistic::spectrogram, statistics.spectrogram, kBins, g.spectrogram, head.spectrogram);
      fill(Statistic::accumulated, statistics.accumulated, 1, g.accumulated, head.accumulated);
      fill(Statistic::last_row, statistics.last_row, 1, g.last_row, head.last_row);
      fill(Statistic::window_mean, statistics.window_mean, 1, g.window_mean, head.window_mean);
      fill(Statistic::key_norm, layer.token_values(h, Layout::key_norm), 1, g.key_norm, head.key_norm);
      fill(Statistic::value_norm, layer.token_values(h, Layout::value_norm), 1, g.value_norm, head.value_norm);
      if (content_) fill(Statistic::content, (*content_)[number], 1, g.content, head.content);
      if (needed.has(Statistic::queries_seen)) {
        g.queries_seen.resize(kept.size());  // every later token was a query of it, and it itself
        for (std::size_t i = 0; i < kept.size(); ++i)
          g.queries_seen[i] = static_cast<float>(static_cast<std::int64_t>(now) - kept[i]);
        head.queries_seen = g.queries_seen;
      }
    }
  // a size in MiB is that of the whole model, also if only some heads are recorded
  double bytes = 0;
  std::int64_t all = 0;
  for (const LayerDescription& layer : settings_.host.cached) {
    if (layer.window != 0) continue;
    bytes += static_cast<double>(layer.kv_heads) * (layer.key_size + layer.value_size) * sizeof(std::uint16_t);
    all += layer.kv_heads;
  }
  const Selection selection = update_heads(memory_, heads, static_cast<std::int64_t>(now), bytes, all);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    std::vector<std::int32_t>& kept = kept_[i];
    const std::vector<std::int32_t>& chosen = selection.kept[i];
    for (std::size_t k = 0; k < chosen.size(); ++k) kept[k] = kept[static_cast<std::size_t>(chosen[k])];
    kept.resize(chosen.size());
  }
  ++updates_;
  nan_scores_ += selection.nan_scores;
}

std::vector<HeadContent> Replay::content() const {
  std::vector<HeadContent> out;
  std::size_t number = 0;
  for (const LayerRecord& layer : record_.layers)
    for (const int head : layer.layer().heads) out.push_back({layer.layer().shape.layer, head, kept_[number++]});
  return out;
}

}  // namespace namm::trace
