#pragma once
// Made-up inputs that tests share.
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "namm/policy.hpp"
#include "namm/selection.hpp"
#include "namm/statistics.hpp"

namespace samples {

inline namm::StatisticsSettings needing(namm::StatisticSet needed, int window_queries = 32) {
  namm::StatisticsSettings settings;
  settings.needed = needed;
  settings.window_queries = window_queries;
  return settings;
}

inline namm::SelectionSettings selecting(namm::SelectionMode mode, int sinks = 4, int recent = 16) {
  namm::SelectionSettings settings;
  settings.mode = mode;
  settings.sinks = sinks;
  settings.recent = recent;
  return settings;
}

inline namm::StatisticSet everything() {
  using namm::Statistic;
  return Statistic::spectrogram | Statistic::accumulated | Statistic::queries_seen | Statistic::last_row |
         Statistic::window_mean | Statistic::key_norm | Statistic::value_norm | Statistic::content;
}

inline std::vector<std::int32_t> range(std::int32_t first, std::size_t count) {
  std::vector<std::int32_t> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = first + static_cast<std::int32_t>(i);
  return out;
}

/// Causal attention of `rows` queries at positions first, first + 1, ...: rows of softmax-like weights, [rows][positions.size()].
template <typename Random>
std::vector<float> attention(Random& random, std::span<const std::int32_t> positions, std::int32_t first, int rows) {
  std::exponential_distribution<float> weight(1.0f);
  std::vector<float> out(static_cast<std::size_t>(rows) * positions.size(), 0.0f);
  for (int row = 0; row < rows; ++row) {
    float* to = out.data() + static_cast<std::size_t>(row) * positions.size();
    float sum = 0;
    for (std::size_t i = 0; i < positions.size() && positions[i] <= first + row; ++i) sum += to[i] = weight(random);
    for (std::size_t i = 0; i < positions.size(); ++i) to[i] = sum > 0 ? to[i] / sum : 0;
  }
  return out;
}

template <typename Random>
std::vector<float> norms(Random& random, std::size_t count) {
  std::lognormal_distribution<float> norm(2.0f, 0.5f);
  std::vector<float> out(count);
  for (float& value : out) value = norm(random);
  return out;
}

/// The part of a policy file with a probe for a model of one layer with two KV heads of `size` numbers.
inline nlohmann::json probe_settings(std::size_t size = 4) {
  nlohmann::json weights = nlohmann::json::array();
  for (std::size_t i = 0; i < 2 * (size + 1); ++i) weights.push_back(0.25 * static_cast<double>(i % 7) - 0.5);
  return {{"input", "key"},
          {"layers", {{{"layer", 0}, {"kv_heads", 2}, {"key_size", size}, {"value_size", size}, {"weights", weights}}}}};
}

/// Settings with which every entry of the registry can be made.
inline nlohmann::json settings_of(const namm::PolicyEntry& entry) {
  if (!entry.fitted) return nlohmann::json::object();
  return {{"probe", probe_settings()}, {"recency", 1}};
}

/// Appends `count` tokens at `first`, first + 1, ... and observes their rows.
template <typename Random>
void feed(namm::HeadStatistics& statistics, Random& random, std::int32_t first, std::size_t count) {
  const std::vector<float> keys = norms(random, count), values = norms(random, count);
  std::vector<float> content(count);  // what a probe would say; from a key norm, so that no other number is drawn
  for (std::size_t i = 0; i < count; ++i) content[i] = 1.0f - keys[i];
  statistics.append(range(first, count), keys, values, content);
  const std::vector<float> rows = attention(random, statistics.view().positions, first, static_cast<int>(count));
  statistics.observe(rows, static_cast<int>(count), statistics.size(), first);
}

}  // namespace samples
