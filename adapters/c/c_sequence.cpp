// Sequences of the C interface.
#include <cstring>
#include <limits>
#include <vector>

#include "adapters/c/c_border.hpp"
#include "adapters/c/sized.hpp"

using namespace namm::c_border;

namespace {

void hand_out(std::span<const std::int32_t> from, const int32_t** to, size_t* count) {
  require(to, "out");
  require(count, "count");
  *to = from.data();
  *count = from.size();
}

}  // namespace

namm_code namm_sequence_create(const namm_policy* policy, const namm_layer* layers, size_t layer_count, double bytes_per_number,
                               namm_sequence** out) {
  return locked(policy, [&](const namm_policy& p) {
    require(out, "out") = nullptr;
    std::vector<namm::LayerDescription> shapes;
    for (size_t i = 0; i < layer_count; ++i) {
      const namm_layer& one = (&require(layers, "layers"))[i];
      shapes.push_back({one.layer, one.kv_heads, one.key_size, one.value_size, one.window});
    }
    *out = new namm_sequence{namm::PolicySequence(p.policy, std::move(shapes), bytes_per_number), {}};
  });
}

void namm_sequence_free(namm_sequence* sequence) {
  delete sequence;
}

namm_code namm_sequence_clear(namm_sequence* sequence) {
  return locked(sequence, [](namm_sequence& s) { s.sequence.clear(); });
}

namm_code namm_sequence_append(namm_sequence* sequence, int32_t layer, size_t count, const int32_t* positions, const float* keys,
                               size_t key_stride, const float* values, size_t value_stride) {
  return locked(sequence, [&](namm_sequence& s) {
    if (count > 0) require(positions, "positions");
    s.sequence.append(layer, {positions, count}, {keys, key_stride, values, value_stride});
  });
}

namm_code namm_sequence_observe(namm_sequence* sequence, int32_t layer, int32_t kv_head, int32_t rows, const float* attention,
                                size_t stride, int32_t first_position) {
  return locked(sequence, [&](namm_sequence& s) {
    if (!s.sequence.observes(layer, kv_head)) return;
    const std::size_t held = s.sequence.positions(layer, kv_head).size();
    if (rows > 0) require(attention, "attention");
    const std::size_t numbers = rows > 0 && stride >= held ? static_cast<std::size_t>(rows - 1) * stride + held : 0;
    s.sequence.observe(layer, kv_head, {attention, numbers}, rows, stride, first_position);
  });
}

namm_code namm_sequence_observe_queries(namm_sequence* sequence, int32_t layer, int32_t rows, int32_t first_position,
                                        const namm_queries* queries) {
  return locked(sequence, [&](namm_sequence& s) {
    const namm_queries from = read_sized(queries, "queries");
    s.sequence.observe_queries(
        layer, rows, first_position,
        {from.query_heads, from.queries, from.query_stride, from.keys, from.key_stride, from.scale, from.softcap, from.sinks});
  });
}

namm_code namm_sequence_due(const namm_sequence* sequence, int32_t* out) {
  return locked(sequence, [&](const namm_sequence& s) { require(out, "out") = s.sequence.due(); });
}

namm_code namm_sequence_update(namm_sequence* sequence, int64_t* dropped) {
  return locked(sequence, [&](namm_sequence& s) {
    const std::int64_t before = s.sequence.usage().entries;
    s.sequence.update();
    if (dropped) *dropped = before - s.sequence.usage().entries;
  });
}

namm_code namm_sequence_kept(const namm_sequence* sequence, int32_t layer, int32_t kv_head, const int32_t** indices,
                             size_t* count) {
  return locked(sequence, [&](const namm_sequence& s) { hand_out(s.sequence.kept(layer, kv_head), indices, count); });
}

namm_code namm_sequence_positions(const namm_sequence* sequence, int32_t layer, int32_t kv_head, const int32_t** positions,
                                  size_t* count) {
  return locked(sequence, [&](const namm_sequence& s) { hand_out(s.sequence.positions(layer, kv_head), positions, count); });
}

namm_code namm_gather_rows(void* rows, size_t row_bytes, size_t row_stride, const int32_t* kept, size_t count) {
  return guarded([&] {
    if (count == 0) return;
    auto* const bytes = &require(static_cast<std::byte*>(rows), "rows");
    require(kept, "kept");
    if (row_stride < row_bytes)
      throw std::invalid_argument("gather: stride must be at least the " + std::to_string(row_bytes) + " bytes of a row, is " +
                                  std::to_string(row_stride));
    for (size_t i = 0; i < count; ++i)
      if (kept[i] < 0 || (i > 0 && kept[i] <= kept[i - 1]))
        throw std::invalid_argument("gather: indices must ascend from 0, found " + std::to_string(kept[i]));
    for (size_t i = 0; i < count; ++i)
      std::memmove(bytes + i * row_stride, bytes + static_cast<std::size_t>(kept[i]) * row_stride, row_bytes);
  });
}

namm_code namm_sequence_usage(const namm_sequence* sequence, namm_usage* out) {
  return locked(sequence, [&](const namm_sequence& s) {
    const namm::CacheUsage from = s.sequence.usage();
    namm_usage usage = {};
    usage.tokens_seen = from.tokens_seen;
    usage.entries = from.entries;
    usage.entries_peak = from.entries_peak;
    usage.entries_full = from.entries_full;
    usage.kv_bytes = from.kv_bytes;
    usage.kv_bytes_peak = from.kv_bytes_peak;
    usage.kv_bytes_full = from.kv_bytes_full;
    usage.statistics_bytes = from.statistics_bytes;
    usage.statistics_bytes_peak = from.statistics_bytes_peak;
    usage.updates = from.updates;
    usage.nan_scores = from.nan_scores;
    write_sized(usage, out, "usage");
  });
}

namm_code namm_sequence_save(const namm_sequence* sequence, void* buffer, size_t* size) {
  return locked(sequence, [&](const namm_sequence& s) {
    const std::vector<std::byte> saved = s.sequence.save();
    const size_t room = require(size, "size");
    *size = saved.size();
    if (!buffer) return;
    if (room < saved.size())
      throw std::invalid_argument("save: the buffer must hold " + std::to_string(saved.size()) + " bytes, holds " +
                                  std::to_string(room));
    std::memcpy(buffer, saved.data(), saved.size());
  });
}

namm_code namm_sequence_restore(namm_sequence* sequence, const void* buffer, size_t size) {
  return locked(sequence, [&](namm_sequence& s) {
    if (size > 0) require(static_cast<const std::byte*>(buffer), "buffer");
    s.sequence.restore({static_cast<const std::byte*>(buffer), size});
  });
}
