#include "adapters/llama_cpp/cache_store.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/cache_store_parts.hpp"
#include "adapters/llama_cpp/group_attention.hpp"
#include "kernels/half.hpp"
#include "namm/update.hpp"

namespace namm::llama {

namespace {

StatisticsSettings settings_of(const Memory& memory) {
  StatisticsSettings out;
  out.spectrogram = memory.spectrogram;
  if (memory.policy) out.needed = memory.policy->required();
  return out;
}

}  // namespace

CacheStore::CacheStore(Memory memory) : memory_(std::move(memory)), statistics_(settings_of(memory_)) {}
CacheStore::~CacheStore() = default;

void CacheStore::add_layer(const void* group, const LayerShape& shape, std::size_t cells_per_stream, int streams) {
  streams_ = std::max(streams_, streams);
  if (layers_.contains(shape.layer)) return;
  auto found = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g->id == group; });
  if (found == groups_.end()) {
    groups_.push_back(std::make_unique<Group>());
    groups_.back()->id = group;
    groups_.back()->cells_per_stream = cells_per_stream;
    found = std::prev(groups_.end());
  }
  auto layer = std::make_unique<Layer>();
  layer->shape = shape;
  layer->group = found->get();
  ++layer->group->layers;
  layers_.emplace(shape.layer, std::move(layer));
  find_windows();
}

std::vector<LayerDescription> CacheStore::layers() const {
  std::vector<LayerDescription> out;
  for (const auto& [index, layer] : layers_)
    out.push_back({index, layer->shape.kv_heads, static_cast<int>(layer->shape.key_size),
                   static_cast<int>(layer->shape.value_size), layer->group->windowed ? window_tokens_ : 0});
  return out;
}

CacheStore::Layer& CacheStore::layer_of(int layer) {
  const auto found = layers_.find(layer);
  if (found == layers_.end()) throw std::logic_error("KV cache: layer " + std::to_string(layer) + " was not announced");
  return *found->second;
}

bool CacheStore::reads_content() const {
  return memory_.policy && memory_.policy->reader();
}

bool CacheStore::reads_queries() const {
  return reads_content() && memory_.policy->reader()->reads_queries();
}

void CacheStore::write_keys(int index, const float* rows, std::size_t stride, std::span<const std::int64_t> cells,
                            const float* plain, const Rotation* rotation) {
  Layer& layer = layer_of(index);
  Group& group = *layer.group;
  if (layer.batch == group.batch) {  // this layer had its turn: a new batch begins
    ++group.batch;
    group.plans.clear();
    group.attended = 0;
  }
  layer.batch = group.batch;
  layer.cells.assign(cells.begin(), cells.end());
  layer.rotation = rotation;
  const std::size_t width = layer.shape.key_size * layer.shape.kv_heads;
  layer.keys.resize(cells.size() * width);
  for (std::size_t i = 0; i < cells.size(); ++i)
    kernels::floats_to_halves(rows + i * stride, layer.keys.data() + i * width, width);
  if (plain)
    layer.plain_keys.assign(plain, plain + cells.size() * width);
  else
    layer.plain_keys.clear();
}

void CacheStore::write_values(int index, const float* rows, std::size_t stride, std::size_t tokens) {
  Layer& layer = layer_of(index);
  const std::size_t width = layer.shape.value_size * layer.shape.kv_heads;
  layer.values.resize(tokens * width);
  for (std::size_t i = 0; i < tokens; ++i) kernels::floats_to_halves(rows + i * stride, layer.values.data() + i * width, width);
  layer.plain_values.clear();
  if (!reads_content()) return;
  for (std::size_t i = 0; i < tokens; ++i)
    layer.plain_values.insert(layer.plain_values.end(), rows + i * stride, rows + i * stride + width);
}

HeadList CacheStore::make_list(const LayerShape& shape) const {
  return {shape.key_size, shape.value_size, statistics_};
}

void CacheStore::attend(int index, const AttentionCall& call) {
  Layer& layer = layer_of(index);
  Group& group = *layer.group;
  const auto per_stream = static_cast<std::size_t>(call.queries_per_stream);
  const bool staged = !layer.cells.empty();
  if (staged && (layer.cells.size() != per_stream * call.streams ||
                 layer.keys.size() / layer.shape.key_size != layer.values.size() / layer.shape.value_size))
    throw std::runtime_error("KV cache: layer " + std::to_string(index) + " attends with " +
                             std::to_string(per_stream * call.streams) + " queries but was written " +
                             std::to_string(layer.cells.size()) + " tokens; this graph is not supported");
  for (int s = 0; s < call.streams; ++s) {
    const int stream = call.first_stream + s;
    auto plan = group.plans.find(stream);
    if (plan == group.plans.end()) {
      std::vector<std::int32_t> written(per_stream);
      for (std::size_t i = 0; i < per_stream; ++i)
        written[i] = static_cast<std::int32_t>(layer.cells[s * per_stream + i] -
                                               static_cast<std::int64_t>(stream * group.cells_per_stream));
      CellMap& cells = group.cells[stream];
      cells.cuts = cuts_;
      plan = group.plans.emplace(stream, plan_batch(call.masks[static_cast<std::size_t>(s)], written, cells)).first;
    }
    if (staged) drop_reused(layer, stream, plan->second);
    for (const QueryGroup& queries : plan->second.groups) {
      Sequence& sequence = group.sequences[sequence_key(stream, queries.sequence)];
      auto& heads = sequence.layers[index];
      while (heads.size() < static_cast<std::size_t>(layer.shape.kv_heads)) heads.push_back(make_list(layer.shape));
      if (staged) append(layer, heads, queries, s * per_stream);
      if (call.plain_queries) show_queries(layer, queries, call, s * per_stream);
      attend_group(heads, queries, call, s, {index, memory_.policy ? memory_.policy->listener() : nullptr});
    }
  }
  threads_ = call.threads;
  if (!staged) return;
  layer.cells.clear();
  ++group.attended;
  if (std::all_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->attended == g->layers; })) finish_batch();
}

void CacheStore::append(const Layer& layer, std::vector<HeadList>& heads, const QueryGroup& queries, std::size_t first_token) {
  const LayerShape& shape = layer.shape;
  const std::size_t key_width = shape.key_size * shape.kv_heads, value_width = shape.value_size * shape.kv_heads;
  // the tokens of a group lie one behind the other unless the runtime interleaves sequences
  for (std::size_t i = 0; i < queries.queries.size();) {
    std::size_t end = i + 1;
    while (end < queries.queries.size() && queries.queries[end] == queries.queries[end - 1] + 1) ++end;
    const std::size_t token = first_token + static_cast<std::size_t>(queries.queries[i]);
    const std::span cells(queries.cells.data() + i, end - i), positions(queries.positions.data() + i, end - i);
    std::vector<float> content;
    if (reads_content()) {
      content.resize(heads.size() * (end - i));
      memory_.policy->reader()->read(
          {shape.layer, shape.kv_heads, shape.key_size, shape.value_size, positions, layer.plain_keys.data() + token * key_width,
           layer.plain_values.data() + token * value_width, layer.rotation},
          content);
    }
    for (std::size_t h = 0; h < heads.size(); ++h)
      heads[h].append(cells, positions, {layer.keys.data() + token * key_width + h * shape.key_size, key_width},
                      {layer.values.data() + token * value_width + h * shape.value_size, value_width},
                      content.empty() ? std::span<const float>() : std::span(content).subspan(h * (end - i), end - i));
    i = end;
  }
}

void CacheStore::show_queries(const Layer& layer, const QueryGroup& queries, const AttentionCall& call,
                              std::size_t first_token) const {
  const auto heads = static_cast<std::size_t>(call.query_heads);
  for (std::size_t i = 0; i < queries.queries.size(); ++i) {
    const std::size_t token = first_token + static_cast<std::size_t>(queries.queries[i]);
    memory_.policy->reader()->read_queries({layer.shape.layer,
                                            heads,
                                            layer.shape.key_size,
                                            {queries.positions.data() + i, 1},
                                            call.plain_queries + token * heads * layer.shape.key_size,
                                            call.scale});
  }
}

void CacheStore::drop_reused(const Layer& layer, int stream, const BatchPlan& plan) {
  if (plan.reused.empty()) return;
  std::vector<bool> reused(layer.group->cells_per_stream);
  for (const auto& [owner, cell] : plan.reused) reused[static_cast<std::size_t>(cell)] = true;
  std::int32_t last_owner = CellMap::kNobody;
  for (const auto& [owner, cell] : plan.reused) {
    if (owner == last_owner) continue;
    last_owner = owner;
    const auto sequence = layer.group->sequences.find(sequence_key(stream, owner));
    if (sequence == layer.group->sequences.end()) continue;
    for (HeadList& list : sequence->second.layers[layer.shape.layer]) {
      std::vector<std::int32_t> kept;
      for (std::size_t e = 0; e < list.size(); ++e)
        if (!reused[static_cast<std::size_t>(list.cells()[e])]) kept.push_back(static_cast<std::int32_t>(e));
      list.keep(kept);
    }
  }
}

void CacheStore::finish_batch() {
  for (auto& group : groups_) group->attended = 0;  // else a cache whose layers come last would count as done in the next batch
  find_windows();
  note_sequences();
  measure();
  for (auto& group : groups_)
    for (const auto& [stream, plan] : group->plans)
      for (const QueryGroup& queries : plan.groups) {
        Sequence& sequence = group->sequences[sequence_key(stream, queries.sequence)];
        const std::int64_t before = queries.positions.front();
        if (before / memory_.interval_tokens == sequence.tokens_seen / memory_.interval_tokens) continue;
        if (group->windowed)
          leave_window(sequence, queries);
        else
          update_sequence(sequence);
      }
}

void CacheStore::update_sequence(Sequence& sequence) {
  if (!evicts(memory_) || windows_unknown(sequence)) return;
  std::vector<HeadList*> lists;
  std::vector<HeadTokens> heads;
  double bytes = 0;
  for (auto& [index, layer_heads] : sequence.layers) {
    const LayerShape& shape = layer_of(index).shape;
    for (std::size_t h = 0; h < layer_heads.size(); ++h) {
      lists.push_back(&layer_heads[h]);
      heads.push_back(layer_heads[h].statistics().view());
      heads.back().layer = index;
      heads.back().kv_head = static_cast<int>(h);
      heads.back().tokens_seen = sequence.tokens_seen;
      bytes += static_cast<double>(shape.key_size + shape.value_size) * sizeof(std::uint16_t);
    }
  }
  if (lists.empty()) return;
  const auto count = static_cast<std::int64_t>(lists.size());
  const std::int64_t budget = memory_.selection.budget.tokens(sequence.tokens_seen, bytes / static_cast<double>(count), count);
  const Selection selection = plan_update(*memory_.policy, memory_.selection, heads, budget);
  for (std::size_t i = 0; i < lists.size(); ++i)
    if (selection.kept[i].size() < lists[i]->size()) sequence.exact_from = sequence.tokens_seen;
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads_) if (threads_ > 1)
  for (std::int64_t i = 0; i < count; ++i) lists[static_cast<std::size_t>(i)]->keep(selection.kept[static_cast<std::size_t>(i)]);
  ++usage_.updates;
  usage_.nan_scores += selection.nan_scores;
}

void CacheStore::update() {
  for (auto& group : groups_)
    if (!group->windowed)
      for (auto& [key, sequence] : group->sequences) update_sequence(sequence);
}

void CacheStore::reset(Memory memory) {
  memory_ = std::move(memory);
  statistics_ = settings_of(memory_);
  usage_ = {};
  for (auto& group : groups_) {
    group->cells.clear();
    group->plans.clear();
    group->sequences.clear();
    group->attended = 0;
    ++group->batch;
  }
  for (auto& [index, layer] : layers_) layer->cells.clear();
  shares_.clear();
}

void CacheStore::measure() {
  usage_.tokens_seen = usage_.entries = usage_.entries_full = usage_.kv_bytes = usage_.kv_bytes_full = usage_.statistics_bytes =
      0;
  for (const auto& group : groups_) {
    std::int64_t group_tokens = 0;
    for (const auto& [stream, cells] : group->cells)
      usage_.statistics_bytes += static_cast<std::int64_t>(
          (cells.owner.capacity() + cells.position.capacity() + 2 * cells.newest.capacity()) * sizeof(std::int32_t));
    for (auto& [key, sequence] : group->sequences) {
      group_tokens += sequence.tokens_seen;
      const SequenceUse use = use_of(*group, key, sequence);
      sequence.kv_bytes_peak = std::max(sequence.kv_bytes_peak, use.kv_bytes);
      usage_.entries += use.entries;
      usage_.entries_full += use.entries_full;
      usage_.kv_bytes += use.kv_bytes;
      usage_.kv_bytes_full += use.kv_bytes_full;
      usage_.statistics_bytes += use.statistics_bytes;
    }
    usage_.tokens_seen = std::max(usage_.tokens_seen, group_tokens);
  }
  usage_.entries_peak = std::max(usage_.entries_peak, usage_.entries);
  usage_.kv_bytes_peak = std::max(usage_.kv_bytes_peak, usage_.kv_bytes);
  usage_.statistics_bytes_peak = std::max(usage_.statistics_bytes_peak, usage_.statistics_bytes);
}

CacheUsage CacheStore::usage() {
  measure();
  return usage_;
}

std::vector<HeadContent> CacheStore::content() const {
  std::vector<HeadContent> out;
  for (const auto& group : groups_) {
    if (group->sequences.empty()) continue;
    for (const auto& [index, heads] : group->sequences.begin()->second.layers)
      for (std::size_t h = 0; h < heads.size(); ++h) {
        const auto positions = heads[h].statistics().view().positions;
        out.push_back({index, static_cast<int>(h), {positions.begin(), positions.end()}});
      }
  }
  return out;
}

}  // namespace namm::llama
