#include "adapters/llama_cpp/device/substitute.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/device/graph_view.hpp"
#include "adapters/llama_cpp/device/spectrogram_nodes.hpp"
#include "adapters/llama_cpp/device/support.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {

std::int64_t Substitute::tile_of(const LayerInputs& layer) {
  return attention_tile(layer.queries, layer.slot_count, layer.query_heads);
}

Substitute::Place Substitute::place_of(const ggml_tensor* tensor) {
  if (!tensor) return {};
  Place out{tensor->data, root(tensor)->buffer, {}, {}};  // a new buffer may begin where an old one did
  std::copy(std::begin(tensor->ne), std::end(tensor->ne), out.shape.begin());
  std::copy(std::begin(tensor->nb), std::end(tensor->nb), out.strides.begin());
  return out;
}

Substitute::Key Substitute::key_of(ggml_cgraph* graph, std::span<const LayerTask> tasks) const {
  Key key{batch_.changes(), batch_.layers(), {}};
  for (const LayerTask& task : tasks) {
    const ggml_tensor* const attention = ggml_graph_node(graph, task.part.attention);
    LayerKey layer{task.part, task.probe, task.plain.before, {}, {}};
    for (const ggml_tensor* const tensor :
         {static_cast<const ggml_tensor*>(ggml_graph_node(graph, task.part.keys)->src[0]),
          static_cast<const ggml_tensor*>(ggml_graph_node(graph, task.part.values)->src[0]), attention,
          static_cast<const ggml_tensor*>(attention->src[0]), static_cast<const ggml_tensor*>(attention->src[3]),
          static_cast<const ggml_tensor*>(attention->src[4]), static_cast<const ggml_tensor*>(task.rows->keys()),
          static_cast<const ggml_tensor*>(task.rows->values()), task.plain.rows,
          static_cast<const ggml_tensor*>(task.rows->content())})
      layer.places.push_back(place_of(tensor));
    std::copy_n(attention->op_params, layer.parameters.size(), layer.parameters.begin());
    key.layers.push_back(std::move(layer));
  }
  return key;
}

void Substitute::build_layer(ggml_cgraph* graph, const LayerTask& task, const LayerInputs& layer, bool measuring) {
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
    if (layer.turn && !measuring && turned_.insert(layer.columns_at).second) {
      ours_.emplace_back(task.part.keys, turn_mask(context, in.attention->src[3], in.columns));
      const std::vector<std::uint16_t> hidden(static_cast<std::size_t>(layer.queries), 0xfc00);  // -inf
      const std::size_t size = hidden.size() * sizeof(std::uint16_t);
      ggml_backend_tensor_set(in.columns, hidden.data(), static_cast<std::size_t>(layer.mask_cells) * size, size);
    }
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
  AttentionTensors wanted{in.attention, in.keys, nodes.mask, nodes.sinks, layer.slot_count};
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
  if (!layer.frames.empty()) {
    const auto basis = static_cast<std::int64_t>(spectrogram_basis().size());
    wanted.basis = input(GGML_TYPE_F32, layer.basis_at, {kHop, basis / kHop});
  }
  for (const FrameInputs& frames : layer.frames) {
    const std::int64_t queries = frames.hops * kHop, tiles = (frames.hops + frames.tile - 1) / frames.tile;
    wanted.frames.push_back({frames.hops, frames.tile, input(GGML_TYPE_I32, frames.query_ids_at, {queries, layer.query_heads}),
                             input(GGML_TYPE_I32, frames.mask_ids_at, {queries, 1, layer.masks}),
                             input(GGML_TYPE_F32, frames.weights_at, {weights_apart(frames.tile), tiles}),
                             output(frames.frames_at, {kBins, layer.slot_count, in.keys->ne[2]})});
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
  put(task.part.attention, {nodes.sinks, nodes.gather, nodes.halve, nodes.turn});
  for (ggml_tensor* const node : statistics) put(task.part.attention, {node});
  for (ggml_tensor* const node : nodes.attend) put(task.part.attention, {node});
  replaced_.insert(replaced_.end(), {task.part.keys, task.part.values, task.part.attention});
}

/// The node that changes masks which the device has already.
void Substitute::build_changes(int before) {
  const auto at = [&](ggml_type type, std::size_t offset, std::initializer_list<std::int64_t> shape) {
    ggml_tensor* const out = ggml_new_tensor(context_.get(), type, static_cast<int>(shape.size()), shape.begin());
    ggml_backend_tensor_alloc(buffer_.get(), out, static_cast<char*>(inputs_->data) + offset);
    return out;
  };
  const auto count = static_cast<std::int64_t>(batch_.changes());
  ggml_tensor* const node = settled(ggml_set_rows(
      context_.get(), at(GGML_TYPE_F16, batch_.masks_at(), {1, static_cast<std::int64_t>(batch_.mask_halves())}),
      at(GGML_TYPE_F32, batch_.change_values_at(), {1, count}), at(GGML_TYPE_I64, batch_.change_ids_at(), {count})));
  node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  ours_.emplace_back(before, node);
}

void Substitute::build(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  type_ = ggml_backend_get_default_buffer_type(stream.backend);
  key_.reset();
  ours_.clear();
  replaced_.clear();
  turned_.clear();
  std::fill(std::begin(room_), std::end(room_), 0);
  for (const bool measuring : {true, false}) {
    std::size_t tensors = 8;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const LayerInputs& layer = batch_.layers()[i];
      const ggml_tensor* const attention = ggml_graph_node(graph, tasks[i].part.attention);
      tensors += tensors_of_layer(attention) + attention_tensors(attention, layer.sums ? layer.queries : 0, tile_of(layer));
      for (const FrameInputs& frames : layer.frames) tensors += 4 + spectrogram_tensors(attention, frames.hops, frames.tile);
    }
    context_ = make_context(tensors);
    if (!measuring) {
      const std::size_t outputs_at = aligned(batch_.bytes());
      std::size_t end = outputs_at + batch_.output_bytes();
      for (std::size_t r = 0; r < kRooms; ++r) {
        room_at_[r] = end;
        end += room_[r];
      }
      if (end > static_cast<std::size_t>(bytes()) || end < static_cast<std::size_t>(bytes()) / 4) {
        buffer_.reset();                             // first: both at once may be too much
        const std::size_t ahead = aligned(end / 8);  // a longer text needs more with every part
        buffer_.reset(ggml_backend_buft_alloc_buffer(type_, end + ahead));
        if (!buffer_) buffer_.reset(ggml_backend_buft_alloc_buffer(type_, end));
        if (!buffer_)
          throw std::runtime_error("KV cache: the device has no memory for " + std::to_string(end >> 20) +
                                   " MiB of masks and attention; use a smaller part of a batch (-ub)");
      }
      inputs_ =
          ggml_new_tensor_1d(context_.get(), GGML_TYPE_I8, static_cast<std::int64_t>(std::max<std::size_t>(batch_.bytes(), 1)));
      auto* const start = static_cast<char*>(ggml_backend_buffer_get_base(buffer_.get()));
      ggml_backend_tensor_alloc(buffer_.get(), inputs_, start);
      outputs_ = nullptr;
      if (batch_.output_bytes() > 0) {
        outputs_ =
            ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, static_cast<std::int64_t>(batch_.output_bytes() / sizeof(float)));
        ggml_backend_tensor_alloc(buffer_.get(), outputs_, start + outputs_at);
      }
      if (batch_.changes() > 0) build_changes(tasks.front().part.keys);
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) build_layer(graph, tasks[i], batch_.layers()[i], measuring);
  }
  std::stable_sort(ours_.begin(), ours_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::sort(replaced_.begin(), replaced_.end());
  for (const auto& [index, node] : ours_) {
    if (!node->data) throw std::logic_error(std::string("KV cache: no room was made for ").append(ggml_op_desc(node)));
    if (const std::string why = why_not_computed(ggml_backend_get_device(stream.backend), node); !why.empty())
      throw std::runtime_error("KV cache: " + why + "; keep the cache in host memory (--no-kv-offload)");
  }
}

ggml_status Substitute::compute(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks) {
  ggml_backend_synchronize(stream.backend);  // the batch before may still read what is filled now
  batch_.lay_out(graph, tasks);
  Key key = key_of(graph, tasks);
  const bool fresh = key_ != key;
  if (fresh) build(stream, graph, tasks);
  key_.reset();  // until it is done: masks that the device was not given, or did not change, are not built upon
  const std::span<const char> inputs = batch_.fill(tasks, fresh);
  if (!inputs.empty()) ggml_backend_tensor_set(inputs_, inputs.data(), 0, inputs.size());
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
  const ggml_status status = stream.compute(stream.backend, view.graph());
  if (status == GGML_STATUS_SUCCESS) key_ = std::move(key);
  return status;
}

std::vector<SlotAttention> Substitute::attention(const DeviceStream& stream, std::span<const LayerTask> tasks) {
  std::vector<SlotAttention> out(tasks.size());
  if (batch_.output_bytes() == 0) return out;
  fetched_.resize(batch_.output_bytes() / sizeof(float));
  ggml_backend_synchronize(stream.backend);
  ggml_backend_tensor_get(outputs_, fetched_.data(), 0, batch_.output_bytes());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const LayerInputs& layer = batch_.layers()[i];
    const std::size_t heads = tasks[i].rows->slots().size(), slots = static_cast<std::size_t>(layer.slot_count);
    const std::span<const float> all(fetched_);
    out[i].slots = slots;
    out[i].group = static_cast<int>(layer.query_heads / static_cast<std::int64_t>(heads));
    out[i].rows = all.subspan(layer.rows_at / sizeof(float), static_cast<std::size_t>(layer.rows) * slots * heads);
    if (layer.sums) out[i].sums = all.subspan(layer.sums_at / sizeof(float), slots * heads);
    for (const FrameInputs& frames : layer.frames)
      out[i].frames.push_back(all.subspan(frames.frames_at / sizeof(float), kBins * slots * heads));
  }
  return out;
}

}  // namespace namm::llama
