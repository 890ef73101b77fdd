#include "adapters/llama_cpp/store/group_attention.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "base/first_error.hpp"
#include "kernels/ragged_attention.hpp"
#include "kernels/rotation.hpp"

namespace namm::llama {
namespace {

using kernels::kBlock;

constexpr int kTileQueries = 16;                          // one hop of the spectrogram
constexpr std::size_t kDecodePartBlocks = 8;              // a few queries: split over 512 entries, so that all threads have work
constexpr std::size_t kWaveBytes = std::size_t{8} << 20;  // attention rows held before the statistics read them

/// Who sees the entries of one head: the group's visibility by cell, gathered in the order of the list.
struct Visibility {
  std::vector<std::int32_t> first, last;
  std::vector<kernels::BlockVisibility> blocks;
  std::vector<std::uint8_t> dense;
  kernels::RaggedHead head;

  Visibility(const HeadList& list, const QueryGroup& group) : head(list.view()) {
    const std::size_t padded = kernels::blocks_of(list.size()) * kBlock;
    first.assign(padded, kernels::kNever);
    last.assign(padded, -1);
    const auto cells = list.cells();
    for (std::size_t e = 0; e < cells.size(); ++e) {
      const auto cell = static_cast<std::size_t>(cells[e]);
      if (cell >= group.first.size()) continue;  // beyond the columns of the mask: nothing there is seen
      first[e] = group.first[cell];
      last[e] = group.last[cell];
    }
    for (std::size_t b = 0; b < padded; b += kBlock) {
      const auto f = std::minmax_element(first.begin() + b, first.begin() + b + kBlock);
      const auto l = std::minmax_element(last.begin() + b, last.begin() + b + kBlock);
      blocks.push_back({*f.first, *f.second, *l.first, *l.second});
    }
    if (!group.dense.empty()) {
      const std::size_t columns = group.first.size();
      dense.assign(group.queries.size() * padded, 0);
      for (std::size_t q = 0; q < group.queries.size(); ++q)
        for (std::size_t e = 0; e < cells.size(); ++e)
          if (static_cast<std::size_t>(cells[e]) < columns)
            dense[q * padded + e] = group.dense[q * columns + static_cast<std::size_t>(cells[e])];
      head.dense = dense.data();
    }
    head.first = first.data();
    head.last = last.data();
    head.blocks = blocks.data();
  }
};

/// Memory of one AttentionPart and of the packed queries; reused from tile to tile.
struct PartMemory {
  std::vector<float> floats;
  std::vector<std::int32_t> active;
  kernels::AttentionPart part(std::size_t rows, std::size_t begin, std::size_t end, std::size_t width, bool keep_weights) {
    const std::size_t columns = keep_weights ? kBlock * (end - begin) : kBlock;
    floats.resize(std::max(floats.size(), rows * (columns + 2 + width)));
    active.resize(std::max(active.size(), end - begin));
    kernels::AttentionPart out;
    out.keep_weights = keep_weights;
    out.block_begin = begin;
    out.block_end = end;
    out.active = active.data();
    out.maximum = floats.data();
    out.sum = out.maximum + rows;
    out.output = out.sum + rows;
    out.weights = out.output + rows * width;
    return out;
  }
};

/// The queries of a tile, packed and scaled, and where their outputs go.
struct Tile {
  kernels::QueryTile view;
  std::vector<float> rows;
  std::vector<float*> outputs;

  void load(const AttentionCall& call, const QueryGroup& group, int stream, std::size_t kv_head, int heads_per_group, int begin,
            int end, const kernels::RaggedHead& cached) {
    const std::size_t key_size = cached.key_size;
    const auto row_count = static_cast<std::size_t>(end - begin) * heads_per_group;
    rows.resize(row_count * key_size);
    outputs.resize(row_count);
    for (std::size_t r = 0; r < row_count; ++r) {
      const auto query = static_cast<std::size_t>(group.queries[static_cast<std::size_t>(begin) + r / heads_per_group]);
      const std::size_t head = kv_head * heads_per_group + r % heads_per_group;
      const float* const from =
          call.queries + stream * call.query_stream_stride + query * call.query_token_stride + head * call.query_head_stride;
      for (std::size_t d = 0; d < key_size; ++d) rows[r * key_size + d] = from[d] * call.scale;
      if (kernels::is_rotated(cached.key_format)) kernels::rotate_row(&rows[r * key_size], key_size);
      outputs[r] =
          call.output + stream * call.output_stream_stride + query * call.output_token_stride + head * call.output_head_stride;
    }
    view = {rows.data(), begin, end - begin, heads_per_group, call.softcap};
  }

  /// What came out of values that are held rotated.
  void rotate_back(const kernels::RaggedHead& cached) const {
    if (!kernels::is_rotated(cached.value_format)) return;
    for (float* const output : outputs) kernels::rotate_row(output, cached.value_size);
  }
};

}  // namespace

bool rows_wait(const QueryGroup& group) {
  return group.queries.size() <= kTileQueries;
}

void attend_group(std::span<HeadList> heads, const QueryGroup& group, const AttentionCall& call, int stream,
                  const Recording& recording) {
  const auto head_count = static_cast<std::int64_t>(heads.size());
  const int per_group = call.query_heads / static_cast<int>(head_count);
  const auto queries = static_cast<int>(group.queries.size());
  const int tiles = (queries + kTileQueries - 1) / kTileQueries;
  const bool statistics = heads[0].statistics().settings().needed.reads_attention() || recording.observer;
  const auto sinks = [&](std::int64_t h) { return call.sinks ? call.sinks + h * per_group : nullptr; };

  std::vector<Visibility> views;
  views.reserve(heads.size());
  for (HeadList& list : heads) views.emplace_back(list, group);
  std::size_t longest = 0;
  for (const HeadList& list : heads) longest = std::max(longest, list.size());

  // Prefill: a unit is (tile, head) over all entries. Decode: a unit is (head, part of the entries) and parts are joined after.
  const bool decode = rows_wait(group);
  const std::size_t parts_of_longest =
      std::max<std::size_t>(1, (kernels::blocks_of(longest) + kDecodePartBlocks - 1) / kDecodePartBlocks);
  const std::size_t parts = decode ? parts_of_longest : 1;
  const std::size_t row_bytes = std::max<std::size_t>(1, kTileQueries * longest * sizeof(float) * heads.size());
  const int wave = statistics ? static_cast<int>(std::clamp<std::size_t>(kWaveBytes / row_bytes, 1, 64)) : tiles;

  std::vector<std::vector<float>> attention(statistics ? heads.size() * static_cast<std::size_t>(std::min(wave, tiles)) : 0);
  const std::size_t scratch_size = kernels::attention_scratch(views[0].head.key_size, views[0].head.value_size);
  const auto scratch_of_all = std::make_unique_for_overwrite<float[]>(scratch_size * static_cast<std::size_t>(call.threads));
  FirstError error;
  for (int begin = 0; begin < tiles; begin += wave) {
    const int in_wave = std::min(wave, tiles - begin);
    const std::int64_t units = static_cast<std::int64_t>(in_wave) * head_count;
    std::vector<PartMemory> part_memory(decode ? static_cast<std::size_t>(head_count) * parts : 0);
    std::vector<kernels::AttentionPart> finished(part_memory.size());
    std::vector<Tile> decode_tiles(decode ? heads.size() : 0);
    if (decode)
      for (std::size_t h = 0; h < heads.size(); ++h)
        decode_tiles[h].load(call, group, stream, h, per_group, 0, queries, views[h].head);

#pragma omp parallel num_threads(call.threads) if (call.threads > 1)
    {
      PartMemory own_memory, means_memory;
      Tile own_tile;
      float* const scratch = scratch_of_all.get() + scratch_size * static_cast<std::size_t>(omp_get_thread_num());
      if (decode) {
#pragma omp for schedule(dynamic, 1)
        for (std::int64_t unit = 0; unit < head_count * static_cast<std::int64_t>(parts); ++unit)
          error.guard([&] {
            const auto h = static_cast<std::size_t>(unit) / parts, p = static_cast<std::size_t>(unit) % parts;
            const kernels::RaggedHead& head = views[h].head;
            const std::size_t blocks = kernels::blocks_of(head.count);
            const std::size_t from = std::min(blocks, p * kDecodePartBlocks), to = std::min(blocks, from + kDecodePartBlocks);
            const Tile& tile = decode_tiles[h];
            auto part = part_memory[static_cast<std::size_t>(unit)].part(tile.outputs.size(), from, to,
                                                                         kernels::padded_value_size(head.value_size), statistics);
            kernels::attend_part(head, tile.view, part, scratch);
            finished[static_cast<std::size_t>(unit)] = part;
          });
      }
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t unit = 0; unit < units; ++unit)
        error.guard([&] {
          const auto h = static_cast<std::size_t>(unit % head_count);
          const auto t = static_cast<std::size_t>(unit / head_count);
          if (error.occurred()) return;  // parts may be missing
          const kernels::RaggedHead& head = views[h].head;
          float* mean = nullptr;
          if (statistics) {
            auto& rows = attention[t * heads.size() + h];
            rows.resize(static_cast<std::size_t>(std::min(kTileQueries, queries)) * head.count);
            mean = rows.data();
          }
          const int first = (begin + static_cast<int>(t)) * kTileQueries;
          if (!decode) own_tile.load(call, group, stream, h, per_group, first, std::min(queries, first + kTileQueries), head);
          const Tile& tile = decode ? decode_tiles[h] : own_tile;
          std::vector<kernels::AttentionPart> joined;
          if (decode) {
            joined.assign(finished.begin() + h * parts, finished.begin() + (h + 1) * parts);
          } else {
            joined.push_back(own_memory.part(tile.outputs.size(), 0, kernels::blocks_of(head.count),
                                             kernels::padded_value_size(head.value_size), statistics));
            kernels::attend_part(head, tile.view, joined.back(), scratch);
          }
          if (const EvictedMeans& means = heads[h].means(); means.size() > 0) {
            joined.push_back(means_memory.part(tile.outputs.size(), 0, 0, kernels::padded_value_size(head.value_size), false));
            means.attend(head, tile.view, joined.back());
          }
          kernels::merge_parts(head, tile.view, joined.data(), joined.size(), sinks(unit % head_count), tile.outputs.data(), mean,
                               head.count);
          tile.rotate_back(head);
        });
      if (statistics) {
#pragma omp for schedule(dynamic, 1)
        for (std::int64_t h = 0; h < head_count; ++h)
          error.guard([&] {
            if (error.occurred()) return;
            HeadList& list = heads[static_cast<std::size_t>(h)];
            for (int t = 0; t < in_wave; ++t) {
              const int first = (begin + t) * kTileQueries;
              auto& rows = attention[static_cast<std::size_t>(t) * heads.size() + static_cast<std::size_t>(h)];
              const int count = std::min(kTileQueries, queries - first);
              const std::int32_t position = group.positions[static_cast<std::size_t>(first)];
              if (recording.observer)
                recording.observer->on_attention({recording.layer, static_cast<int>(h), list.statistics().view().positions, rows,
                                                  count, list.size(), position});
              if (rows_wait(group))
                list.observe_later(std::move(rows), count, position);
              else
                list.statistics().observe(rows, count, list.size(), position);
            }
          });
      }
    }
    error.rethrow();
  }
}

}  // namespace namm::llama
