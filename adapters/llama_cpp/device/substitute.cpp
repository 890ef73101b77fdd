#include "adapters/llama_cpp/device/substitute.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/device/graph_view.hpp"
#include "adapters/llama_cpp/store/batch_plan.hpp"

namespace namm::llama {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::int64_t kFewQueries = 4;  // so few that a mask for each head is small

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool same_cells(const LayerRows& rows) {
  const auto& heads = rows.slots();
  return std::all_of(heads.begin(), heads.end(), [&](const auto& head) {
    return std::equal(head->cells().begin(), head->cells().end(), heads.front()->cells().begin(), heads.front()->cells().end());
  });
}

}  // namespace

Substitute::Layer Substitute::look_at(ggml_cgraph* graph, const LayerTask& task) {
  Layer out;
  out.query_heads = ggml_graph_node(graph, task.part.attention)->src[0]->ne[2];
  out.streams = task.streams;
  out.rows = static_cast<std::int64_t>(task.wanted.queries.size());
  out.sums = task.wanted.sums;
  out.queries = static_cast<std::int64_t>(task.cells->size() / sizeof(std::int64_t));
  out.some = out.rows < out.queries;
  out.slot_count = task.rows->extent();
  out.mask_cells = static_cast<std::int64_t>(task.mask->size() / sizeof(std::uint16_t)) / out.queries;
  const bool alike = same_cells(*task.rows);
  out.masks = alike ? 1 : static_cast<std::int64_t>(task.rows->slots().size());
  out.kind = out.queries <= kFewQueries ? MaskKind::uploaded : MaskKind::gathered;
  const std::span<const std::int32_t> cells = task.rows->slots().front()->cells();
  if (!alike || out.streams > 1 || out.slot_count != out.mask_cells) return out;
  for (std::size_t s = 0; s < cells.size(); ++s)
    if (cells[s] != static_cast<std::int32_t>(s)) return out;
  // and no query may see a cell behind them, whose token was dropped
  const auto* const mask = reinterpret_cast<const std::uint16_t*>(task.mask->data());
  for (std::int64_t i = 0; i < out.queries; ++i)
    for (std::int64_t c = static_cast<std::int64_t>(cells.size()); c < out.mask_cells; ++c)
      if (MaskView::sees(mask[i * out.mask_cells + c])) return out;
  out.kind = MaskKind::runtimes;
  return out;
}

std::int64_t Substitute::tile_of(const Layer& layer) {
  return attention_tile(layer.queries, layer.slot_count, layer.query_heads);
}

/// Where inputs lie: they go to the device in one piece.
void Substitute::lay_out(ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  layers_.clear();
  output_bytes_ = 0;
  std::size_t end = 0;
  const auto add = [&](std::size_t bytes) {
    const std::size_t at = end;
    end = aligned(end + bytes);
    return at;
  };
  std::map<const void*, std::size_t> columns;  // by mask: layers of one cache share them
  for (const LayerTask& task : tasks) {
    Layer layer = look_at(graph, task);
    const auto queries = static_cast<std::size_t>(layer.queries), slots = static_cast<std::size_t>(layer.slot_count),
               masks = static_cast<std::size_t>(layer.masks);
    layer.slots_at = add(queries * task.rows->slots().size() * sizeof(std::int64_t));
    if (layer.kind == MaskKind::uploaded) layer.mask_at = add(slots * queries * masks * sizeof(std::uint16_t));
    if (layer.kind == MaskKind::gathered) {
      layer.cells_at = add(slots * masks * sizeof(std::int32_t));
      const auto [known, fresh] = columns.try_emplace(task.mask.get(), 0);
      if (fresh)
        known->second = add(queries * (static_cast<std::size_t>(layer.streams * layer.mask_cells) + 1) * sizeof(std::uint16_t));
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
    layers_.push_back(layer);
  }
  input_bytes_ = end;
}

/// Two batches with the same key are computed by the same nodes.
std::vector<std::int64_t> Substitute::key_of(ggml_cgraph* graph, std::span<const LayerTask> tasks) const {
  std::vector<std::int64_t> key;
  const auto add = [&](const auto& value) { key.push_back(static_cast<std::int64_t>(value)); };
  const auto add_tensor = [&](const ggml_tensor* tensor) {
    add(reinterpret_cast<std::intptr_t>(tensor->data));
    for (int d = 0; d < GGML_MAX_DIMS; ++d) add(tensor->ne[d]), add(tensor->nb[d]);
  };
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const GraphPart& part = tasks[i].part;
    const Layer& layer = layers_[i];
    for (const int number : {part.layer, part.keys, part.values, part.attention}) add(number);
    add(layer.kind);
    for (const std::int64_t number : {layer.queries, layer.slot_count, layer.masks, layer.mask_cells, layer.rows, layer.streams})
      add(number);
    for (const std::size_t at : {layer.slots_at, layer.mask_at, layer.columns_at, layer.cells_at, layer.query_ids_at,
                                 layer.mask_ids_at, layer.rows_at, layer.sums_at})
      add(at);
    add(layer.sums);
    const ggml_tensor* const attention = ggml_graph_node(graph, part.attention);
    for (const ggml_tensor* const tensor :
         {ggml_graph_node(graph, part.keys)->src[0], ggml_graph_node(graph, part.values)->src[0],
          static_cast<ggml_tensor*>(attention->src[0]), attention->src[3], tasks[i].rows->keys(), tasks[i].rows->values()})
      add_tensor(tensor);
    add_tensor(attention);
    for (int p = 0; p < 4; ++p) add(attention->op_params[p]);
    if (!tasks[i].probe) continue;
    add(reinterpret_cast<std::intptr_t>(tasks[i].probe));
    add(tasks[i].plain.before);
    add_tensor(tasks[i].plain.rows);
    add_tensor(tasks[i].rows->content());
  }
  return key;
}

void Substitute::build_layer(ggml_cgraph* graph, const LayerTask& task, const Layer& layer, bool measuring) {
  ggml_context* const context = context_.get();
  char* const base = measuring ? nullptr : static_cast<char*>(ggml_backend_buffer_get_base(buffer_.get()));
  const auto input = [&](ggml_type number, std::size_t at, std::initializer_list<std::int64_t> shape) {
    ggml_tensor* const out = ggml_new_tensor(context, number, static_cast<int>(shape.size()), shape.begin());
    if (!measuring) ggml_backend_tensor_alloc(buffer_.get(), out, base + at);
    return out;
  };
  LayerTensors in;
  in.key_rows = ggml_graph_node(graph, task.part.keys)->src[0];
  in.value_rows = ggml_graph_node(graph, task.part.values)->src[0];
  in.attention = ggml_graph_node(graph, task.part.attention);
  in.keys = task.rows->keys();
  in.values = task.rows->values();
  in.kind = layer.kind;
  in.slot_count = layer.slot_count;
  in.masks = layer.masks;
  in.slots = input(GGML_TYPE_I64, layer.slots_at, {layer.queries, in.keys->ne[2]});
  if (layer.kind == MaskKind::uploaded)
    in.mask = input(GGML_TYPE_F16, layer.mask_at, {layer.slot_count, layer.queries, 1, layer.masks});
  if (layer.kind == MaskKind::gathered) {
    in.columns = input(GGML_TYPE_F16, layer.columns_at, {layer.queries, layer.streams * layer.mask_cells + 1});
    in.cells = input(GGML_TYPE_I32, layer.cells_at, {layer.slot_count * layer.masks});
  }
  const auto place = [&](ggml_tensor* tensor, Room room) {
    const auto r = static_cast<std::size_t>(room);
    if (measuring)
      room_[r] = std::max(room_[r], aligned(ggml_backend_buft_get_alloc_size(type_, tensor)));
    else
      ggml_backend_tensor_alloc(buffer_.get(), tensor, base + room_at_[r]);
  };
  // some devices compute attention with room behind its result, which the runtime has allocated for a node of its own shape
  const auto direct = [&](const ggml_tensor* attend) {
    return ggml_backend_buft_get_alloc_size(type_, attend) <= ggml_nbytes(attend);
  };
  ProbeNodes probe;
  if (task.probe)
    probe = make_probe_nodes(context, *task.probe, task.plain.rows, in.value_rows, task.rows->content(), in.slots, place);
  const LayerNodes nodes = make_nodes(context, in, place, direct);
  AttentionTensors wanted{in.attention, in.keys, nodes.mask, layer.slot_count};
  const auto output = [&](std::size_t at, std::initializer_list<std::int64_t> shape) {
    ggml_tensor* const out = ggml_new_tensor(context, GGML_TYPE_F32, static_cast<int>(shape.size()), shape.begin());
    if (!measuring) ggml_backend_tensor_alloc(buffer_.get(), out, static_cast<char*>(outputs_->data) + at);
    return out;
  };
  wanted.tile = tile_of(layer);
  if (layer.sums) wanted.sums = output(layer.sums_at, {layer.slot_count, in.keys->ne[2]});
  if (layer.rows > 0) wanted.rows = output(layer.rows_at, {layer.slot_count, layer.rows, in.keys->ne[2]});
  if (layer.some && layer.rows > 0) {
    wanted.query_ids = input(GGML_TYPE_I32, layer.query_ids_at, {layer.rows, layer.query_heads});
    wanted.mask_ids = input(GGML_TYPE_I32, layer.mask_ids_at, {layer.rows, 1, layer.masks});
  }
  const std::vector<ggml_tensor*> statistics = make_attention_nodes(context, wanted, place);
  if (measuring) return;
  const auto put = [&](int before, std::initializer_list<ggml_tensor*> some) {
    for (ggml_tensor* const node : some)
      if (node) ours_.emplace_back(before, node);
  };
  for (ggml_tensor* const node : probe.with_keys) put(task.plain.before, {node});
  for (ggml_tensor* const node : probe.with_values) put(task.part.values, {node});
  put(task.part.keys, {nodes.write_keys});
  put(task.part.values, {nodes.write_values});
  for (ggml_tensor* const node : probe.last) put(task.part.attention, {node});
  put(task.part.attention, {nodes.gather, nodes.turn});
  for (ggml_tensor* const node : statistics) put(task.part.attention, {node});
  put(task.part.attention, {nodes.attend, nodes.deliver});
  replaced_.insert(replaced_.end(), {task.part.keys, task.part.values, task.part.attention});
}

void Substitute::build(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  type_ = ggml_backend_get_default_buffer_type(stream.backend);
  key_.clear();
  ours_.clear();
  replaced_.clear();
  std::fill(std::begin(room_), std::end(room_), 0);
  for (const bool measuring : {true, false}) {
    std::size_t tensors = 2;
    for (const Layer& layer : layers_)
      tensors += kTensorsPerLayer + attention_tensors(layer.sums ? layer.queries : 0, tile_of(layer));
    context_ = make_context(tensors);
    if (!measuring) {
      const std::size_t outputs_at = aligned(input_bytes_);
      std::size_t end = outputs_at + output_bytes_;
      for (std::size_t r = 0; r < kRooms; ++r) {
        room_at_[r] = end;
        end += room_[r];
      }
      if (end > static_cast<std::size_t>(bytes()) || end < static_cast<std::size_t>(bytes()) / 4) {
        buffer_.reset();  // first: both at once may be too much
        buffer_.reset(ggml_backend_buft_alloc_buffer(type_, end));
        if (!buffer_)
          throw std::runtime_error("KV cache: the device has no memory for " + std::to_string(end >> 20) +
                                   " MiB of masks and attention; use a smaller part of a batch (-ub)");
      }
      inputs_ =
          ggml_new_tensor_1d(context_.get(), GGML_TYPE_I8, static_cast<std::int64_t>(std::max<std::size_t>(input_bytes_, 1)));
      auto* const start = static_cast<char*>(ggml_backend_buffer_get_base(buffer_.get()));
      ggml_backend_tensor_alloc(buffer_.get(), inputs_, start);
      outputs_ = nullptr;
      if (output_bytes_ > 0) {
        outputs_ = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, static_cast<std::int64_t>(output_bytes_ / sizeof(float)));
        ggml_backend_tensor_alloc(buffer_.get(), outputs_, start + outputs_at);
      }
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) build_layer(graph, tasks[i], layers_[i], measuring);
  }
  std::stable_sort(ours_.begin(), ours_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::sort(replaced_.begin(), replaced_.end());
  for (const auto& [index, node] : ours_) {
    if (!node->data) throw std::logic_error(std::string("KV cache: no room was made for ").append(ggml_op_desc(node)));
    if (!ggml_backend_dev_supports_op(ggml_backend_get_device(stream.backend), node))
      throw std::runtime_error(std::string("KV cache: device ")
                                   .append(ggml_backend_dev_name(ggml_backend_get_device(stream.backend)))
                                   .append(" cannot compute ")
                                   .append(ggml_op_desc(node))
                                   .append(" as a policy needs it; keep the cache in host memory (--no-kv-offload)"));
  }
}

void Substitute::fill(std::span<const LayerTask> tasks) {
  constexpr std::uint16_t kHidden = 0xfc00;  // -inf
  staging_.assign(input_bytes_, 0);
  std::size_t columns_done = input_bytes_;  // none
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Layer& layer = layers_[i];
    const auto& heads = tasks[i].rows->slots();
    const auto* const written = reinterpret_cast<const std::int64_t*>(tasks[i].cells->data());
    const auto* const seen = reinterpret_cast<const std::uint16_t*>(tasks[i].mask->data());
    auto* slots = reinterpret_cast<std::int64_t*>(staging_.data() + layer.slots_at);
    for (const auto& head : heads)
      for (std::int64_t q = 0; q < layer.queries; ++q) *slots++ = head->slot_of(static_cast<std::int32_t>(written[q]));
    const std::int64_t cells = layer.mask_cells, columns_count = layer.streams * cells,
                       per_stream = layer.queries / layer.streams;
    const auto column_of = [&](std::int64_t mask, std::int64_t slot) {  // `columns_count`: nobody sees it
      const std::span<const std::int32_t> all = heads[static_cast<std::size_t>(mask)]->cells();
      if (slot >= static_cast<std::int64_t>(all.size()) || all[static_cast<std::size_t>(slot)] == RowSlots::kFree)
        return columns_count;
      const std::int64_t cell = all[static_cast<std::size_t>(slot)];
      const std::int64_t stream = cell / tasks[i].cells_per_stream - tasks[i].first_stream;
      const std::int64_t own = cell % tasks[i].cells_per_stream;
      return stream < 0 || stream >= layer.streams || own >= cells ? columns_count : stream * cells + own;
    };
    const auto seen_by = [&](std::int64_t query, std::int64_t column) {
      return column < columns_count && column / cells == query / per_stream ? seen[query * cells + column % cells] : kHidden;
    };
    if (layer.some && layer.rows > 0)
      for (const auto& [at, copies] :
           {std::pair{layer.query_ids_at, layer.query_heads}, std::pair{layer.mask_ids_at, layer.masks}})
        for (std::int64_t copy = 0; copy < copies; ++copy)
          std::memcpy(staging_.data() + at + static_cast<std::size_t>(copy * layer.rows) * sizeof(std::int32_t),
                      tasks[i].wanted.queries.data(), static_cast<std::size_t>(layer.rows) * sizeof(std::int32_t));
    if (layer.kind == MaskKind::uploaded) {
      auto* to = reinterpret_cast<std::uint16_t*>(staging_.data() + layer.mask_at);
      for (std::int64_t m = 0; m < layer.masks; ++m)
        for (std::int64_t q = 0; q < layer.queries; ++q)
          for (std::int64_t s = 0; s < layer.slot_count; ++s) *to++ = seen_by(q, column_of(m, s));
    }
    if (layer.kind != MaskKind::gathered) continue;
    auto* ids = reinterpret_cast<std::int32_t*>(staging_.data() + layer.cells_at);
    for (std::int64_t m = 0; m < layer.masks; ++m)
      for (std::int64_t s = 0; s < layer.slot_count; ++s) *ids++ = static_cast<std::int32_t>(column_of(m, s));
    if (layer.columns_at == columns_done) continue;
    columns_done = layer.columns_at;
    auto* const columns = reinterpret_cast<std::uint16_t*>(staging_.data() + layer.columns_at);
    for (std::int64_t q = 0; q < layer.queries; ++q)
      for (std::int64_t c = 0; c <= columns_count; ++c) columns[c * layer.queries + q] = seen_by(q, c);
  }
}

ggml_status Substitute::compute(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  ggml_backend_synchronize(stream.backend);  // the batch before may still read what is filled now
  lay_out(graph, tasks);
  if (std::vector<std::int64_t> key = key_of(graph, tasks); key != key_) {
    build(stream, graph, tasks);
    key_ = std::move(key);
  }
  fill(tasks);
  if (input_bytes_ > 0) ggml_backend_tensor_set(inputs_, staging_.data(), 0, input_bytes_);
  nodes_.clear();
  auto ours = ours_.begin();
  auto replaced = replaced_.begin();
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    for (; ours != ours_.end() && ours->first == i; ++ours) nodes_.push_back(ours->second);
    if (replaced != replaced_.end() && *replaced == i)
      ++replaced;
    else
      nodes_.push_back(ggml_graph_node(graph, i));
  }
  // A piece of a graph, even if it is all of it, has no number of its own: a device that knows graphs by it looks at the nodes.
  GraphView view = ggml_graph_view(graph, 0, ggml_graph_n_nodes(graph));
  view.consist_of(nodes_);
  return stream.compute(stream.backend, view.graph());
}

std::vector<SlotAttention> Substitute::attention(const DeviceStream& stream, std::span<const LayerTask> tasks) {
  std::vector<SlotAttention> out(tasks.size());
  if (output_bytes_ == 0) return out;
  fetched_.resize(output_bytes_ / sizeof(float));
  ggml_backend_synchronize(stream.backend);
  ggml_backend_tensor_get(outputs_, fetched_.data(), 0, output_bytes_);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::size_t heads = tasks[i].rows->slots().size(), slots = static_cast<std::size_t>(layer.slot_count);
    const std::span<const float> all(fetched_);
    out[i].slots = slots;
    out[i].group = static_cast<int>(layer.query_heads / static_cast<std::int64_t>(heads));
    out[i].rows = all.subspan(layer.rows_at / sizeof(float), static_cast<std::size_t>(layer.rows) * slots * heads);
    if (layer.sums) out[i].sums = all.subspan(layer.sums_at / sizeof(float), slots * heads);
  }
  return out;
}

}  // namespace namm::llama
