// Rows of attention from queries and keys, a few at a time: probabilities of a whole prompt never lie in memory.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <stdexcept>

#include "adapters/c/policy_sequence.hpp"
#include "base/threads.hpp"

namespace namm {
namespace {

constexpr int kTileRows = 16;  // one hop of the spectrogram

float dot(const float* a, const float* b, std::size_t size) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t d = 0; d < size; ++d) sum += a[d] * b[d];
  return sum;
}

/// Adds the probabilities of one query head on entries [first, last), over the heads of its group, to `mean`.
void add_probabilities(std::span<const float> logits, std::size_t first, float sink, float weight, float* mean) {
  float most = sink;
  for (const float logit : logits) most = std::max(most, logit);
  if (most == -std::numeric_limits<float>::infinity()) return;
  double sum = std::exp(static_cast<double>(sink - most));
  std::vector<float> powers(logits.size());
  for (std::size_t e = 0; e < logits.size(); ++e) sum += static_cast<double>(powers[e] = std::exp(logits[e] - most));
  const auto factor = static_cast<float>(static_cast<double>(weight) / sum);
  for (std::size_t e = 0; e < logits.size(); ++e) mean[first + e] += powers[e] * factor;
}

struct HeadQueries {
  const QueryRows& from;
  std::size_t kv_head, group, key_size;
};

void observe_head(HeadStatistics& head, const HeadQueries& queries, int rows, std::int32_t first_position) {
  const auto positions = head.view().positions;
  const QueryRows& from = queries.from;
  const float* const keys = from.keys[queries.kv_head];
  std::vector<float> mean, logits(head.size());
  for (int begin = 0; begin < rows; begin += kTileRows) {
    const int count = std::min(kTileRows, rows - begin);
    mean.assign(static_cast<std::size_t>(count) * head.size(), 0.0f);
    for (int r = 0; r < count; ++r) {
      const std::int32_t position = first_position + begin + r;
      const auto seen =
          static_cast<std::size_t>(std::upper_bound(positions.begin(), positions.end(), position) - positions.begin());
      for (std::size_t g = 0; g < queries.group; ++g) {
        const std::size_t query_head = queries.kv_head * queries.group + g;
        const float* const query =
            from.queries + static_cast<std::size_t>(begin + r) * from.query_stride + query_head * queries.key_size;
        for (std::size_t e = 0; e < seen; ++e) {
          const float logit = from.scale * dot(query, keys + e * from.key_stride, queries.key_size);
          logits[e] = from.softcap > 0 ? from.softcap * std::tanh(logit / from.softcap) : logit;
        }
        add_probabilities({logits.data(), seen}, 0, from.sinks ? from.sinks[query_head] : -std::numeric_limits<float>::infinity(),
                          1.0f / static_cast<float>(queries.group), mean.data() + static_cast<std::size_t>(r) * head.size());
      }
    }
    head.observe(mean, count, head.size(), first_position + begin);
  }
}

}  // namespace

void PolicySequence::observe_queries(int layer, int rows, std::int32_t first_position, const QueryRows& from) {
  const std::size_t l = layer_index(layer), first = states_[l].first_head;
  const int kv_heads = layers_[l].kv_heads;
  if (!heads_[first].settings().needed.reads_attention() || rows == 0) return;
  if (rows < 0) throw std::invalid_argument("observe: rows must be 0 or more, is " + std::to_string(rows));
  if (from.query_heads < 1 || from.query_heads % kv_heads != 0)
    throw std::invalid_argument("observe: query heads must be a multiple of the " + std::to_string(kv_heads) + " KV heads, are " +
                                std::to_string(from.query_heads));
  bool given = from.queries && from.keys;
  for (int h = 0; given && h < kv_heads; ++h) given = from.keys[h] != nullptr;
  if (!given) throw std::invalid_argument("observe: queries and the keys of every KV head must be given, some are missing");
  const auto group = static_cast<std::size_t>(from.query_heads / kv_heads);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(kv_heads));
  [[maybe_unused]] const int team = usable_threads(omp_get_max_threads());
#pragma omp parallel for schedule(dynamic) num_threads(team) if (team > 1)
  for (int h = 0; h < kv_heads; ++h) {
    const auto number = static_cast<std::size_t>(h);
    try {
      observe_head(heads_[first + number], {from, number, group, static_cast<std::size_t>(layers_[l].key_size)}, rows,
                   first_position);
    } catch (...) {
      errors[number] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace namm
