#include "adapters/llama_cpp/device/batch_inputs.hpp"

#include <ggml.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "adapters/llama_cpp/device/own_graph.hpp"
#include "adapters/llama_cpp/device/spectrogram_nodes.hpp"
#include "adapters/llama_cpp/store/batch_plan.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {
namespace {

constexpr std::int64_t kFewQueries = 4;    // so few that a mask for each head is small
constexpr std::uint16_t kHidden = 0xfc00;  // -inf

std::span<const std::int64_t> written_cells(const LayerTask& task) {
  return {reinterpret_cast<const std::int64_t*>(task.cells->data()), task.cells->size() / sizeof(std::int64_t)};
}

const std::uint16_t* runtimes_mask(const LayerTask& task) {
  return reinterpret_cast<const std::uint16_t*>(task.mask->data());
}

/// The runtime's mask by cells of all streams.
class Sight {
 public:
  Sight(const LayerTask& task, const LayerInputs& layer)
      : task_(task), layer_(layer), mask_(runtimes_mask(task)), per_stream_(layer.queries / layer.streams) {}

  std::int64_t columns() const { return layer_.streams * layer_.mask_cells; }
  /// The column of a cell; columns(): nobody sees it.
  std::int64_t column_of_cell(std::int64_t cell) const {
    if (layer_.streams == 1) {  // without a division
      const std::int64_t own = cell - task_.first_stream * task_.cells_per_stream;
      return own < 0 || own >= layer_.mask_cells ? columns() : own;
    }
    const std::int64_t stream = cell / task_.cells_per_stream - task_.first_stream, own = cell % task_.cells_per_stream;
    return stream < 0 || stream >= layer_.streams || own >= layer_.mask_cells ? columns() : stream * layer_.mask_cells + own;
  }
  std::int64_t column_of_slot(std::int64_t mask, std::int64_t slot) const {
    const std::span<const std::int32_t> cells = task_.rows->slots()[static_cast<std::size_t>(mask)]->cells();
    if (slot >= static_cast<std::int64_t>(cells.size()) || cells[static_cast<std::size_t>(slot)] == RowSlots::kFree)
      return columns();
    return column_of_cell(cells[static_cast<std::size_t>(slot)]);
  }
  /// The cell of a column of this query's row.
  std::int64_t cell_of(std::int64_t query, std::int64_t own) const {
    return (task_.first_stream + query / per_stream_) * task_.cells_per_stream + own;
  }
  std::uint16_t of(std::int64_t query, std::int64_t column) const {
    if (layer_.streams == 1) return column < columns() ? mask_[query * layer_.mask_cells + column] : kHidden;
    return column < columns() && column / layer_.mask_cells == query / per_stream_
               ? mask_[query * layer_.mask_cells + column % layer_.mask_cells]
               : kHidden;
  }

 private:
  const LayerTask& task_;
  const LayerInputs& layer_;
  const std::uint16_t* mask_;
  std::int64_t per_stream_;
};

}  // namespace

/// What has happened to the slots of a layer since the last time. Goes over all of them only where more has than in most batches.
void BatchInputs::compare(const LayerTask& task, Seen& seen) {
  const auto& heads = task.rows->slots();
  const std::span<const std::int64_t> written = written_cells(task);
  seen.only_written =
      seen.layer == task.part.layer && seen.first_stream == task.first_stream && seen.slots.size() == heads.size();
  for (std::size_t h = 0; seen.only_written && h < heads.size(); ++h)
    seen.only_written = heads[h]->changes() == RowSlots::Changes{seen.slots[h].taken + written.size(), seen.slots[h].other};
  if (seen.only_written) {
    for (const std::int64_t cell : written) {
      const std::int32_t slot = heads.front()->slot_of(static_cast<std::int32_t>(cell));
      seen.in_order = seen.in_order && slot == cell;
      for (const auto& head : heads) seen.alike = seen.alike && head->slot_of(static_cast<std::int32_t>(cell)) == slot;
    }
  } else {
    const std::span<const std::int32_t> first = heads.front()->cells();
    seen.alike = std::all_of(heads.begin(), heads.end(), [&](const auto& head) {
      return std::equal(head->cells().begin(), head->cells().end(), first.begin(), first.end());
    });
    seen.in_order = true;
    for (std::size_t s = 0; seen.in_order && s < first.size(); ++s) seen.in_order = first[s] == static_cast<std::int32_t>(s);
  }
  seen.layer = task.part.layer;
  seen.first_stream = task.first_stream;
  seen.slots.clear();
  for (const auto& head : heads) seen.slots.push_back(head->changes());
}

LayerInputs BatchInputs::look_at(ggml_cgraph* graph, const LayerTask& task, Seen& seen) const {
  LayerInputs out;
  out.query_heads = ggml_graph_node(graph, task.part.attention)->src[0]->ne[2];
  out.streams = task.streams;
  out.rows = static_cast<std::int64_t>(task.wanted.queries.size());
  out.sums = task.wanted.sums;
  out.queries = static_cast<std::int64_t>(written_cells(task).size());
  out.some = out.rows < out.queries;
  out.slot_count = task.rows->extent();
  out.mask_cells = static_cast<std::int64_t>(task.mask->size() / sizeof(std::uint16_t)) / out.queries;
  compare(task, seen);
  out.masks = seen.alike ? 1 : static_cast<std::int64_t>(task.rows->slots().size());
  out.kind = out.queries <= kFewQueries ? MaskKind::uploaded : MaskKind::gathered;
  if (!seen.alike || !seen.in_order || out.streams > 1 || out.slot_count != out.mask_cells) return out;
  // no query may see a cell behind them, whose token was dropped
  const auto held = static_cast<std::int64_t>(task.rows->slots().front()->cells().size());
  const std::uint16_t* const mask = runtimes_mask(task);
  for (std::int64_t i = 0; i < out.queries; ++i)
    for (std::int64_t c = held; c < out.mask_cells; ++c)
      if (MaskView::sees(mask[i * out.mask_cells + c])) return out;
  out.kind = MaskKind::runtimes;
  return out;
}

void BatchInputs::lay_out(ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  layers_.clear();
  seen_.resize(tasks.size());
  output_bytes_ = mask_halves_ = changes_ = 0;
  std::size_t end = 0;
  const auto add = [&](std::size_t bytes) {
    const std::size_t at = end;
    end = aligned(end + bytes);
    return at;
  };
  std::map<const void*, std::size_t> columns;  // by mask: layers of one cache share them
  std::optional<std::size_t> basis;            // all layers share it
  std::size_t turned = 0;                      // bytes of those that the device makes
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const LayerTask& task = tasks[i];
    LayerInputs layer = look_at(graph, task, seen_[i]);
    const auto queries = static_cast<std::size_t>(layer.queries), slots = static_cast<std::size_t>(layer.slot_count),
               masks = static_cast<std::size_t>(layer.masks);
    layer.slots_at = add(queries * task.rows->slots().size() * sizeof(std::int64_t));
    if (layer.kind == MaskKind::uploaded) {
      layer.mask_at = mask_halves_ * sizeof(std::uint16_t);  // among the masks, so far
      mask_halves_ = aligned((mask_halves_ + slots * queries * masks) * sizeof(std::uint16_t)) / sizeof(std::uint16_t);
      // a query sees the tokens of its batch, one more than before, and may lose sight of one: a window's
      changes_ += masks * queries * (queries + 2);
    }
    if (layer.kind == MaskKind::gathered) {
      layer.cells_at = add(slots * masks * sizeof(std::int32_t));
      // the runtime has sent its mask, which a device can turn; those of several streams are put together here
      layer.turn = layer.streams == 1;
      const auto [known, fresh] = columns.try_emplace(task.mask.get(), 0);
      const std::size_t size = queries * (static_cast<std::size_t>(layer.streams * layer.mask_cells) + 1) * sizeof(std::uint16_t);
      if (fresh) known->second = layer.turn ? std::exchange(turned, aligned(turned + size)) : add(size);
      layer.columns_at = known->second;
    }
    const auto rows = static_cast<std::size_t>(layer.rows), heads = task.rows->slots().size();
    if (layer.some && rows > 0) {
      layer.query_ids_at = add(rows * static_cast<std::size_t>(layer.query_heads) * sizeof(std::int32_t));
      layer.mask_ids_at = add(rows * masks * sizeof(std::int32_t));
    }
    const auto give_back = [&](std::size_t numbers) {
      const std::size_t at = output_bytes_;
      output_bytes_ = aligned(output_bytes_ + numbers * sizeof(float));
      return at;
    };
    if (rows > 0) layer.rows_at = give_back(rows * slots * heads);
    if (layer.sums) layer.sums_at = give_back(slots * heads);
    if (!task.wanted.hops.empty() && !basis) basis = add(spectrogram_basis().size() * sizeof(float));
    layer.basis_at = basis.value_or(0);
    for (const std::vector<std::int32_t>& hops : task.wanted.hops) {
      FrameInputs& frames = layer.frames.emplace_back();
      frames.hops = static_cast<std::int64_t>(hops.size()) / kHop;
      frames.tile = spectrogram_tile(frames.hops, layer.slot_count, layer.query_heads, static_cast<std::int64_t>(heads));
      frames.query_ids_at = add(hops.size() * static_cast<std::size_t>(layer.query_heads) * sizeof(std::int32_t));
      frames.mask_ids_at = add(hops.size() * masks * sizeof(std::int32_t));
      frames.weights_at = add(spectrogram_weights(frames.hops, frames.tile, task.wanted.decay).size() * sizeof(float));
      frames.frames_at = give_back(kBins * slots * heads);
    }
    layers_.push_back(layer);
  }
  change_ids_at_ = add(changes_ * sizeof(std::int64_t));
  change_values_at_ = add(changes_ * sizeof(float));
  masks_at_ = end;
  const std::size_t masks_end = masks_at_ + mask_halves_ * sizeof(std::uint16_t);
  columns_end_ = masks_end + turned;
  for (LayerInputs& layer : layers_) {
    if (layer.kind == MaskKind::uploaded) layer.mask_at += masks_at_;
    if (layer.turn) layer.columns_at += masks_end;
  }
}

void BatchInputs::fill_layer(const LayerTask& task, const LayerInputs& layer, std::size_t& columns_done) {
  const auto& heads = task.rows->slots();
  auto* slots = reinterpret_cast<std::int64_t*>(staging_.data() + layer.slots_at);
  for (const auto& head : heads)
    for (const std::int64_t cell : written_cells(task)) *slots++ = head->slot_of(static_cast<std::int32_t>(cell));
  const auto put = [&](std::size_t at, const auto& numbers, std::int64_t copies = 1) {
    const std::size_t size = numbers.size() * sizeof numbers[0];
    for (std::int64_t copy = 0; copy < copies; ++copy)
      std::memcpy(staging_.data() + at + static_cast<std::size_t>(copy) * size, numbers.data(), size);
  };
  if (layer.some && layer.rows > 0) {
    put(layer.query_ids_at, task.wanted.queries, layer.query_heads);
    put(layer.mask_ids_at, task.wanted.queries, layer.masks);
  }
  if (!layer.frames.empty()) put(layer.basis_at, spectrogram_basis());
  for (std::size_t f = 0; f < layer.frames.size(); ++f) {
    const FrameInputs& frames = layer.frames[f];
    put(frames.query_ids_at, task.wanted.hops[f], layer.query_heads);
    put(frames.mask_ids_at, task.wanted.hops[f], layer.masks);
    put(frames.weights_at, spectrogram_weights(frames.hops, frames.tile, task.wanted.decay));
  }
  if (layer.kind != MaskKind::gathered) return;
  const Sight sight(task, layer);
  auto* ids = reinterpret_cast<std::int32_t*>(staging_.data() + layer.cells_at);
  for (std::int64_t m = 0; m < layer.masks; ++m)
    for (std::int64_t s = 0; s < layer.slot_count; ++s) *ids++ = static_cast<std::int32_t>(sight.column_of_slot(m, s));
  if (layer.turn || layer.columns_at == columns_done) return;
  columns_done = layer.columns_at;
  auto* const columns = reinterpret_cast<std::uint16_t*>(staging_.data() + layer.columns_at);
  for (std::int64_t q = 0; q < layer.queries; ++q)
    for (std::int64_t c = 0; c <= sight.columns(); ++c) columns[c * layer.queries + q] = sight.of(q, c);
}

void BatchInputs::fill_mask(const LayerTask& task, const LayerInputs& layer) {
  const Sight sight(task, layer);
  auto* to = reinterpret_cast<std::uint16_t*>(staging_.data() + layer.mask_at);
  for (std::int64_t m = 0; m < layer.masks; ++m)
    for (std::int64_t q = 0; q < layer.queries; ++q)
      for (std::int64_t s = 0; s < layer.slot_count; ++s) *to++ = sight.of(q, sight.column_of_slot(m, s));
}

/// Notes a half of the masks that is another now. False if there are more than have room.
bool BatchInputs::change(std::size_t number, std::uint16_t value) {
  if (changed_ == changes_) return false;
  reinterpret_cast<std::uint16_t*>(staging_.data() + masks_at_)[number] = value;
  reinterpret_cast<std::int64_t*>(staging_.data() + change_ids_at_)[changed_] = static_cast<std::int64_t>(number);
  reinterpret_cast<float*>(staging_.data() + change_values_at_)[changed_] = ggml_fp16_to_fp32(value);
  ++changed_;
  return true;
}

/// The columns of a layer's masks that the batch has changed. False if it takes a new mask.
bool BatchInputs::change_mask(const LayerTask& task, const LayerInputs& layer, const Seen& seen) {
  const auto cells = static_cast<std::size_t>(layer.mask_cells);
  if (!seen.only_written || !seen.mask || seen.mask->size() != task.mask->size()) return false;
  const auto* const shown = reinterpret_cast<const std::uint16_t*>(seen.mask->data());
  const Sight sight(task, layer);
  const std::size_t first = (layer.mask_at - masks_at_) / sizeof(std::uint16_t);
  const auto set = [&](std::int64_t query, std::int64_t cell) {
    for (std::int64_t m = 0; m < layer.masks; ++m) {
      const RowSlots& slots = *task.rows->slots()[static_cast<std::size_t>(m)];
      const std::int32_t slot = slots.slot_at(static_cast<std::int32_t>(cell));
      if (slot == RowSlots::kFree) continue;
      const auto number = first + static_cast<std::size_t>((m * layer.queries + query) * layer.slot_count + slot);
      if (!change(number, sight.of(query, sight.column_of_cell(cell)))) return false;
    }
    return true;
  };
  const std::span<const std::int64_t> written = written_cells(task);
  for (std::int64_t q = 0; q < layer.queries; ++q) {
    for (const std::int64_t cell : written)
      if (!set(q, cell)) return false;
    const std::size_t row = static_cast<std::size_t>(q) * cells;
    const std::uint16_t *const now = runtimes_mask(task) + row, *const before = shown + row;
    constexpr std::size_t kPiece = 256;
    for (std::size_t at = 0; at < cells; at += kPiece) {
      const std::size_t end = std::min(cells, at + kPiece);
      if (std::memcmp(now + at, before + at, (end - at) * sizeof *now) == 0) continue;
      for (std::size_t c = at; c < end; ++c) {
        if (now[c] == before[c]) continue;
        const std::int64_t cell = sight.cell_of(q, static_cast<std::int64_t>(c));
        if (std::find(written.begin(), written.end(), cell) == written.end() && !set(q, cell)) return false;
      }
    }
  }
  return true;
}

std::span<const char> BatchInputs::fill(std::span<const LayerTask> tasks, bool fresh) {
  const std::size_t sent = masks_at_ + mask_halves_ * sizeof(std::uint16_t);
  staging_.resize(sent);
  changed_ = 0;
  std::size_t columns_done = bytes();  // none
  for (std::size_t i = 0; i < tasks.size(); ++i) fill_layer(tasks[i], layers_[i], columns_done);
  bool anew = fresh;
  for (std::size_t i = 0; i < tasks.size() && !anew && changes_ > 0; ++i)
    anew = layers_[i].kind == MaskKind::uploaded && !change_mask(tasks[i], layers_[i], seen_[i]);
  if (anew) {
    changed_ = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i)
      if (layers_[i].kind == MaskKind::uploaded) fill_mask(tasks[i], layers_[i]);
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) seen_[i].mask = layers_[i].kind == MaskKind::uploaded ? tasks[i].mask : nullptr;
  // the node has a number of changes that it makes with every batch: the rest say what is so anyway
  const auto* const masks = reinterpret_cast<const std::uint16_t*>(staging_.data() + masks_at_);
  while (changed_ < changes_)
    if (!change(0, masks[0])) break;
  return {staging_.data(), anew ? sent : masks_at_};
}

}  // namespace namm::llama
