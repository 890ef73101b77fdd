#include "adapters/llama_cpp/store/evicted_means.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/bytes.hpp"
#include "kernels/half.hpp"

namespace namm::llama {
namespace {

constexpr int kRounds = 10;  // of k-means; it has settled before, nearly always

/// Tokens, and means of tokens, to be shared out: keys and values [point][size], and how many tokens each stands for.
struct Points {
  std::size_t key_size, value_size;
  std::vector<float> keys, values;
  std::vector<std::uint32_t> counts;
  std::size_t size() const { return counts.size(); }
  const float* key(std::size_t i) const { return &keys[i * key_size]; }

  void add_means(std::span<const std::uint16_t> mean_keys, std::span<const std::uint16_t> mean_values,
                 std::span<const std::uint32_t> of) {
    for (const std::uint16_t half : mean_keys) keys.push_back(kernels::half_to_float(half));
    for (const std::uint16_t half : mean_values) values.push_back(kernels::half_to_float(half));
    counts.insert(counts.end(), of.begin(), of.end());
  }
  void add(const kernels::RaggedHead& head, std::size_t entry) {
    const std::size_t key_at = keys.size(), value_at = values.size();
    for (std::size_t d = 0; d < key_size; ++d) keys.push_back(kernels::key_number(head, entry, d));
    for (std::size_t d = 0; d < value_size; ++d) values.push_back(kernels::value_number(head, entry, d));
    const auto finite = [](float x) { return std::isfinite(x); };
    if (std::all_of(keys.begin() + static_cast<std::ptrdiff_t>(key_at), keys.end(), finite) &&
        std::all_of(values.begin() + static_cast<std::ptrdiff_t>(value_at), values.end(), finite))
      return counts.push_back(1);
    keys.resize(key_at);
    values.resize(value_at);
  }
};

/// Means of the points of each part, [part][size]; of a part without any what `before` has.
std::vector<float> means_of(const Points& points, const std::vector<float>& numbers, std::size_t size,
                            const std::vector<std::uint32_t>& part_of, const std::vector<std::uint64_t>& tokens,
                            const std::vector<float>& before) {
  std::vector<double> sums(tokens.size() * size);
  for (std::size_t i = 0; i < points.size(); ++i)
    for (std::size_t d = 0; d < size; ++d)
      sums[part_of[i] * size + d] += static_cast<double>(points.counts[i]) * numbers[i * size + d];
  std::vector<float> out(sums.size());
  for (std::size_t j = 0; j < sums.size(); ++j)
    out[j] = tokens[j / size] > 0 ? static_cast<float>(sums[j] / static_cast<double>(tokens[j / size])) : before[j];
  return out;
}

/// The centre nearest to each point, [point].
void share_out(const Points& points, const std::vector<float>& centres, std::vector<std::uint32_t>& part_of) {
  const std::size_t size = points.key_size;
  for (std::size_t i = 0; i < points.size(); ++i) {
    float least = std::numeric_limits<float>::infinity();
    for (std::size_t c = 0; c * size < centres.size(); ++c) {
      float distance = 0;
      for (std::size_t d = 0; d < size; ++d) {
        const float x = points.key(i)[d] - centres[c * size + d];
        distance += x * x;
      }
      if (!(distance < least)) continue;
      least = distance;
      part_of[i] = static_cast<std::uint32_t>(c);
    }
  }
}

std::vector<std::uint64_t> tokens_of_parts(const Points& points, const std::vector<std::uint32_t>& part_of, std::size_t parts) {
  std::vector<std::uint64_t> out(parts);
  for (std::size_t i = 0; i < points.size(); ++i) out[part_of[i]] += points.counts[i];
  return out;
}

}  // namespace

void EvictedMeans::absorb(const kernels::RaggedHead& head, std::span<const std::int32_t> evicted) {
  if (limit_ == 0 || evicted.empty()) return;
  Points points{head.key_size, head.value_size, {}, {}, {}};
  points.add_means(keys_, values_, counts_);
  for (const std::int32_t entry : evicted) points.add(head, static_cast<std::size_t>(entry));
  if (points.size() == 0) return;

  // from the means that there are, and tokens at equal distances for those that are missing
  const std::size_t held = size(), fresh = points.size() - held, missing = std::min(limit_ - held, fresh);
  std::vector<float> centres(points.keys.begin(), points.keys.begin() + static_cast<std::ptrdiff_t>(held * head.key_size));
  for (std::size_t m = 0; m < missing; ++m) {
    const float* const from = points.key(held + m * fresh / missing);
    centres.insert(centres.end(), from, from + head.key_size);
  }
  const std::size_t parts = held + missing;
  std::vector<std::uint32_t> part_of(points.size());
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<std::uint32_t> before = part_of;
    share_out(points, centres, part_of);
    if (round > 0 && part_of == before) break;
    centres = means_of(points, points.keys, head.key_size, part_of, tokens_of_parts(points, part_of, parts), centres);
  }
  const std::vector<std::uint64_t> tokens = tokens_of_parts(points, part_of, parts);
  const std::vector<float> values =
      means_of(points, points.values, head.value_size, part_of, tokens, std::vector<float>(parts * head.value_size));

  EvictedMeans next(limit_);
  for (std::size_t c = 0; c < parts; ++c) {
    if (tokens[c] == 0) continue;
    for (std::size_t d = 0; d < head.key_size; ++d) next.keys_.push_back(kernels::float_to_half(centres[c * head.key_size + d]));
    for (std::size_t d = 0; d < head.value_size; ++d)
      next.values_.push_back(kernels::float_to_half(values[c * head.value_size + d]));
    next.counts_.push_back(
        static_cast<std::uint32_t>(std::min<std::uint64_t>(tokens[c], std::numeric_limits<std::uint32_t>::max())));
  }
  *this = std::move(next);
}

void EvictedMeans::attend(const kernels::RaggedHead& head, const kernels::QueryTile& tile, kernels::AttentionPart& part) const {
  constexpr std::size_t kLanes =
      kMost;  // so many means side by side, whether there are so many or not: one loop for the compiler
  std::vector<float> keys(head.key_size * kLanes), values(values_.size());
  for (std::size_t m = 0; m < size(); ++m)
    for (std::size_t d = 0; d < head.key_size; ++d) keys[d * kLanes + m] = kernels::half_to_float(keys_[m * head.key_size + d]);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = kernels::half_to_float(values_[i]);
  float added[kLanes] = {};
  for (std::size_t m = 0; m < size(); ++m) added[m] = std::log(static_cast<float>(counts_[m]));

  part.active_count = 0;
  const std::size_t width = kernels::padded_value_size(head.value_size);
  for (std::size_t r = 0; r < static_cast<std::size_t>(tile.queries) * static_cast<std::size_t>(tile.group); ++r) {
    const float* const query = tile.rows + r * head.key_size;
    float logits[kLanes] = {};
    for (std::size_t d = 0; d < head.key_size; ++d)
      for (std::size_t m = 0; m < kLanes; ++m) logits[m] += query[d] * keys[d * kLanes + m];
    float* const output = part.output + r * width;
    std::fill_n(output, width, 0.0f);
    part.sum[r] = 0;
    part.maximum[r] = -std::numeric_limits<float>::infinity();
    for (std::size_t m = 0; m < size(); ++m) {
      if (tile.softcap > 0) logits[m] = tile.softcap * std::tanh(logits[m] / tile.softcap);
      logits[m] += added[m];
      part.maximum[r] = std::max(part.maximum[r], logits[m]);
    }
    for (std::size_t m = 0; m < size(); ++m) {
      const float weight = std::exp(logits[m] - part.maximum[r]);
      part.sum[r] += weight;
      for (std::size_t d = 0; d < head.value_size; ++d) output[d] += weight * values[m * head.value_size + d];
    }
  }
}

std::int64_t EvictedMeans::tokens() const {
  std::int64_t sum = 0;
  for (const std::uint32_t count : counts_) sum += count;
  return sum;
}

void EvictedMeans::save(ByteWriter& out) const {
  out.number<std::uint64_t>(size());
  out.numbers(counts_);
  out.numbers(keys_);
  out.numbers(values_);
}

void EvictedMeans::restore(ByteReader& in, std::size_t key_size, std::size_t value_size) {
  const auto count = in.number<std::uint64_t>("means of a head", 0, limit_);
  counts_ = in.numbers<std::uint32_t>(count);
  keys_ = in.numbers<std::uint16_t>(count * key_size);
  values_ = in.numbers<std::uint16_t>(count * value_size);
  const auto infinite = [](std::uint16_t half) { return (half & 0x7c00u) == 0x7c00u; };
  if (std::count(counts_.begin(), counts_.end(), 0u) > 0 || std::any_of(keys_.begin(), keys_.end(), infinite) ||
      std::any_of(values_.begin(), values_.end(), infinite))
    throw std::runtime_error(
        "saved state: means of evicted tokens must be finite and of one token at least, are not; the file is damaged, save it "
        "again");
}

}  // namespace namm::llama
