#include "adapters/llama_cpp/device/device_cache.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/backend/cache_type.hpp"
#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/device/cache_buffer.hpp"
#include "adapters/llama_cpp/device/graph_view.hpp"
#include "adapters/llama_cpp/device/support.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "ggml-backend-impl.h"

namespace namm::llama {
namespace {

/// Groups of the store are told apart by an address: one for each cache of the context, which may be on several devices.
const void* numbered_group(int cache) {
  static constexpr std::array<char, 16> kGroups{};
  return &kGroups[static_cast<std::size_t>(std::min(cache, 15))];
}

constexpr const char* kHostInstead = "; keep the cache in host memory (--no-kv-offload)";

/// What this attention node has that cannot be done on a device yet; empty if nothing.
std::string obstacle_of(const ggml_tensor* node) {
  const ggml_tensor *k = node->src[1], *v = node->src[2], *mask = node->src[3];
  if (cache_part(v) != CachePart::values) return std::string(kWhyLatent);
  for (const auto& [part, flag] : {std::pair{k, "--cache-type-k"}, std::pair{v, "--cache-type-v"}})
    if (!RowTypes::known(root(part)->type))
      return std::string("the KV cache must be of type f16, bf16 or q8_0 in device memory, is ")
                 .append(ggml_type_name(root(part)->type)) +
             " (" + flag + "); use f16" + kHostInstead;
  if (!mask || mask->type != GGML_TYPE_F16 || mask->ne[2] != 1)
    return "its attention mask is not one F16 mask for all heads; use a model with plain causal attention";
  if (parameter(node, 1) != 0) return std::string(kWhyPositionBias);
  return {};
}

}  // namespace

DeviceCache::DeviceCache(Instance& owner) : owner_(owner) {
  owner_.store->hold_elsewhere(this);
  if (!ggml_graph_view)
    owner_.problem = std::string("its ggml lacks ggml_graph_view, which a cache in device memory needs") + kHostInstead;
}

void DeviceCache::add_buffer(ggml_backend_buffer_t buffer) {
  int number = 0;  // the runtime allocates one cache after the other, on each device once
  for (const auto& [other, cache] : cache_numbers_)
    if (static_cast<const ggml_backend_buffer*>(other)->buft == buffer->buft) number = std::max(number, cache + 1);
  cache_numbers_[buffer] = number;
}

const void* DeviceCache::group_of(ggml_backend_buffer_t buffer) const {
  const auto number = cache_numbers_.find(buffer);
  return numbered_group(number == cache_numbers_.end() ? 0 : number->second);
}

void DeviceCache::add_backend(ggml_backend_t backend, ComputeGraph own) {
  streams_.emplace(backend, Stream{backend, own, {}});
}

void DeviceCache::remove_backend(ggml_backend_t backend) {
  streams_.erase(backend);
}

bool DeviceCache::ours(const ggml_tensor* cache) const {
  return device_owner_of(cache) == &owner_ || (cache->buffer && cache->buffer->size == 0);
}

void DeviceCache::note(const ggml_tensor* node, bool supported) {
  const auto is_ours = [this](const ggml_tensor* cache) { return ours(cache); };
  std::string why = foreign_use(node, is_ours);
  if (!why.empty()) {
    owner_.problem = std::move(why);
  } else if (node->op == GGML_OP_SET_ROWS && cache_part(node) == CachePart::keys && ours(root(node))) {
    owner_.plain_keys.note(layer_of(node), node->src[0], false);
  } else if (node->op == GGML_OP_FLASH_ATTN_EXT && cache_part(node->src[1]) == CachePart::keys && ours(root(node->src[1]))) {
    announce(node, supported);
  }
}

void DeviceCache::announce(const ggml_tensor* attention, bool supported) {
  const ggml_tensor *k = attention->src[1], *v = attention->src[2];
  const int layer = layer_of(k);
  if (rows_.contains(layer)) return;
  std::string why = obstacle_of(attention);
  if (why.empty() && !supported)
    why = std::string("its device cannot compute flash attention of layer ").append(std::to_string(layer)) + ", whose cache is " +
          RowTypes{root(k)->type, root(v)->type}.name() + kHostInstead;
  if (!why.empty()) {
    owner_.problem = std::move(why);
    return;
  }
  ggml_backend_buffer_t const buffer = root(k)->buffer;
  const RowTypes types{root(k)->type, root(v)->type};
  LayerSupport support;
  try {
    support = support_of_layer(buffer->buft, types, attention);
  } catch (const std::runtime_error& error) {  // its nodes cannot be made
    owner_.problem = error.what();
    return;
  }
  if (!support.holding.empty()) {
    owner_.problem = support.holding + kHostInstead;
    return;
  }
  if (why_no_statistics_.empty()) why_no_statistics_ = std::move(support.attention);
  if (why_no_spectrogram_.empty()) why_no_spectrogram_ = std::move(support.spectrogram);
  if (why_no_norms_.empty()) why_no_norms_ = std::move(support.norms);
  rows_.emplace(layer, std::make_unique<LayerRows>(buffer->buft, types, static_cast<int>(k->ne[2]), k->ne[0], v->ne[0]));
  rows_.at(layer)->hold_content(probe_ != nullptr);
  owner_.store->add_layer(
      group_of(buffer),
      {layer, static_cast<int>(k->ne[2]), static_cast<std::size_t>(k->ne[0]), static_cast<std::size_t>(v->ne[0]),
       CacheType(types.keys).bytes_per_number(), CacheType(types.values).bytes_per_number(), true},
      static_cast<std::size_t>(root(k)->ne[1]), static_cast<int>(root(k)->ne[2]));
}

/// What a policy asks for that the devices cannot do.
std::string DeviceCache::beyond_devices(const CachePolicy& policy) const {
  const StatisticSet needed = policy.required();
  if (needed.reads_attention() && !why_no_statistics_.empty()) return why_no_statistics_ + kHostInstead;
  if (needed.has(Statistic::spectrogram) && !why_no_spectrogram_.empty()) return why_no_spectrogram_ + kHostInstead;
  if ((needed.has(Statistic::key_norm) || needed.has(Statistic::value_norm)) && !why_no_norms_.empty())
    return why_no_norms_ + kHostInstead;
  for (const auto& [layer, rows] : rows_)
    if (policy.reads_tokens() && (rows->numbers().keys == GGML_TYPE_Q8_0 || rows->numbers().values == GGML_TYPE_Q8_0))
      return std::string(kWhyRotated);
  return {};
}

std::string DeviceCache::obstacle(const CachePolicy& policy, int window_tokens) const {
  if (std::string why = why_not_held_elsewhere(policy); !why.empty()) return why;
  if (std::string why = beyond_devices(policy); !why.empty()) return why;
  // it reorders graphs by what their nodes were, and aborts the process where others stand among them
  if (const char* const reorders = std::getenv("GGML_CUDA_GRAPH_OPT"); reorders && std::atoi(reorders) == 1)
    return std::string("GGML_CUDA_GRAPH_OPT must not be 1 where a policy holds the cache in device memory, is; unset it") +
           kHostInstead;
  const bool one_device = std::all_of(rows_.begin(), rows_.end(),
                                      [&](const auto& entry) { return entry.second->type() == rows_.begin()->second->type(); });
  if (window_tokens > 0 && (!one_device || rows_.size() < owner_.store->layers().size()))
    return std::string(
               "model: layers with a sliding window must be on one device with the others, are on several or in host memory "
               "(--split-mode none, --n-gpu-layers 99)") +
           kHostInstead;
  return {};
}

LayerRows& DeviceCache::rows_of(int layer) const {
  const auto found = rows_.find(layer);
  if (found == rows_.end()) throw std::logic_error("KV cache: layer " + std::to_string(layer) + " was not announced");
  return *found->second;
}

std::shared_ptr<RowSlots> DeviceCache::slots(int layer, int kv_head) {
  return rows_of(layer).slots().at(static_cast<std::size_t>(kv_head));
}

DeviceStream DeviceCache::stream_of(const LayerRows& rows) const {
  for (const auto& [backend, stream] : streams_)
    if (ggml_backend_get_default_buffer_type(backend) == rows.type()) return {backend, stream.compute};
  throw std::logic_error("KV cache: the context has no backend on the device of its cache");
}

ggml_status DeviceCache::compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Stream& stream = streams_.at(backend);
  const std::vector<GraphPart> parts = find_parts(graph, [this](const ggml_tensor* cache) { return ours(cache); });
  if (parts.empty()) return stream.compute(backend, graph);
  if (!owner_.problem.empty()) throw std::runtime_error("KV cache: " + owner_.problem);
  std::vector<LayerTask> tasks;
  for (const GraphPart& part : parts) {
    const ggml_tensor *const write = ggml_graph_node(graph, part.keys), *const attention = ggml_graph_node(graph, part.attention);
    LayerTask task{part, &rows_of(part.layer), input_bytes(write->src[1]), input_bytes(attention->src[3])};
    if (!task.cells || !task.mask)
      throw std::runtime_error("KV cache: cells and mask of a batch must come from the host, layer " +
                               std::to_string(part.layer) + "'s were not seen on their way" + kHostInstead);
    const ggml_tensor *const k = attention->src[1], *const cache = root(k), *const mask = attention->src[3];
    const auto tokens = task.cells->size() / sizeof(std::int64_t), columns = static_cast<std::size_t>(mask->ne[0]);
    task.streams = static_cast<int>(mask->ne[3]);
    task.cells_per_stream = cache->ne[1];
    task.first_stream = static_cast<int>(k->view_offs / (cache->nb[1] * static_cast<std::size_t>(cache->ne[1])));
    std::vector<MaskView> masks;
    for (std::size_t s = 0; s < static_cast<std::size_t>(task.streams); ++s)
      masks.push_back({reinterpret_cast<const std::uint16_t*>(task.mask->data()) +
                           s * columns * (tokens / static_cast<std::size_t>(task.streams)),
                       columns, columns});
    owner_.store->place(part.layer, {reinterpret_cast<const std::int64_t*>(task.cells->data()), tokens}, task.first_stream,
                        masks);
    if (probe_) task.plain = find_plain_keys(graph, part);
    task.wanted = owner_.store->wanted_attention(part.layer);
    tasks.push_back(std::move(task));
  }
  for (const GraphPart& part : parts) {  // when all of them know what this part of the batch takes away
    LayerRows& rows = rows_of(part.layer);
    measured(rows, [&] { rows.grow({backend, stream.compute}); });
  }
  for (LayerTask& task : tasks)
    if (probe_) task.probe = &probe_of(task.part.layer, *task.rows);
  const ggml_status status = stream.substitute.compute({backend, stream.compute}, graph, tasks);
  if (status != GGML_STATUS_SUCCESS) return status;
  const std::vector<SlotAttention> seen = stream.substitute.attention({backend, stream.compute}, tasks);
  for (std::size_t i = 0; i < tasks.size(); ++i)
    if (!tasks[i].wanted.nothing()) owner_.store->observe(tasks[i].part.layer, seen[i]);
  return status;
}

/// What may move rows from one buffer to another; the store hears of the most that was held meanwhile.
template <class Work>
void DeviceCache::measured(const LayerRows& rows, Work move) {
  const std::int64_t before = kv_bytes(), rows_before = rows.bytes();
  move();
  if (rows.bytes() != rows_before) owner_.store->note_peak(before - rows_before + rows.moving_bytes());
}

void DeviceCache::tidy() {
  for (const auto& [layer, rows] : rows_) {
    try {
      measured(*rows, [this, &moved = *rows] { moved.shrink(stream_of(moved)); });
    } catch (const std::runtime_error& error) {  // then it stays as large as it is
      if (!shrink_failed_) spdlog::warn("{}; what was dropped is not given back yet", error.what());
      shrink_failed_ = true;
    }
  }
}

std::vector<std::vector<float>> DeviceCache::norms(int layer, bool values) {
  const LayerRows& rows = rows_of(layer);
  return rows.norms(stream_of(rows), values);
}

void DeviceCache::read_with(const ContentReader* reader) {
  probe_ = dynamic_cast<const TokenProbe*>(reader);
  layer_probes_.clear();
  for (auto& [backend, stream] : streams_) stream.substitute.forget();
  for (const auto& [layer, rows] : rows_) rows->hold_content(probe_ != nullptr);
}

const ProbeTensors& DeviceCache::probe_of(int layer, const LayerRows& rows) {
  if (const auto known = layer_probes_.find(layer); known != layer_probes_.end()) return known->second;
  const ProbeLayer& fitted =
      probe_->fitted(layer, static_cast<int>(rows.slots().size()), static_cast<std::size_t>(rows.key_size()),
                     static_cast<std::size_t>(rows.value_size()));
  return layer_probes_.try_emplace(layer, rows.type(), fitted, probe_->input()).first->second;
}

std::vector<std::vector<float>> DeviceCache::contents(int layer) {
  const LayerRows& rows = rows_of(layer);
  std::vector<std::vector<float>> out = rows.contents(stream_of(rows));
  const std::vector<float>& constants = probe_of(layer, rows).constants();
  for (std::size_t h = 0; h < out.size(); ++h)
    for (float& number : out[h]) number += constants[h];
  return out;
}

std::size_t DeviceCache::row_bytes(int layer) const {
  return rows_of(layer).row_bytes();
}

std::string DeviceCache::row_types() const {
  return rows_.empty() ? RowTypes().name() : rows_.begin()->second->numbers().name();
}

bool DeviceCache::are_finite(int layer, std::span<const std::byte> rows) const {
  return rows_of(layer).are_finite(rows);
}

std::vector<std::byte> DeviceCache::read_rows(int layer, int kv_head, std::span<const std::int32_t> slots) {
  const LayerRows& rows = rows_of(layer);
  return rows.read(stream_of(rows), kv_head, slots);
}

void DeviceCache::write_rows(int layer, int kv_head, std::span<const std::int32_t> slots, std::span<const std::byte> from) {
  LayerRows& rows = rows_of(layer);
  measured(rows, [&] { rows.grow(stream_of(rows)); });
  rows.write(stream_of(rows), kv_head, slots, from);
}

std::int64_t DeviceCache::kv_bytes() const {
  std::int64_t out = 0;
  for (const auto& [layer, rows] : rows_) out += rows->bytes();
  return out;
}

std::int64_t DeviceCache::other_bytes() const {
  std::int64_t out = 0;
  for (const auto& [backend, stream] : streams_) out += stream.substitute.bytes();
  for (const auto& [layer, rows] : rows_) out += rows->bookkeeping_bytes();
  for (const auto& [layer, probe] : layer_probes_) out += probe.bytes();
  return out;
}

}  // namespace namm::llama
