#include "adapters/llama_cpp/store/cache_store.hpp"

#include <algorithm>
#include <list>
#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"
#include "base/first_error.hpp"
#include "base/threads.hpp"
#include "namm/cache_policy.hpp"

namespace namm::llama {
namespace {

StatisticsSettings settings_of(const CachePolicy& memory) {
  StatisticsSettings out;
  out.spectrogram = memory.spectrogram;
  out.needed = memory.required();
  return out;
}

}  // namespace

CacheStore::CacheStore(CachePolicy memory)
    : memory_(std::move(memory)), statistics_(settings_of(memory_)), staged_(std::make_unique<Staging>()) {}
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
  return memory_.reads_tokens();
}

bool CacheStore::reads_queries() const {
  return memory_.reads_queries();
}

/// One for each KV head, in memory beside each other. `first_cell`: of their stream.
std::vector<HeadList> CacheStore::make_lists(const LayerShape& shape, std::int64_t first_cell) const {
  const auto region = std::make_shared<PageRegion>();
  std::vector<HeadList> out;
  for (int h = 0; h < shape.kv_heads; ++h)
    if (shape.elsewhere)
      out.emplace_back(shape.key_size, shape.value_size, statistics_elsewhere(statistics_),
                       RowLease(holder_->slots(shape.layer, h), static_cast<std::int32_t>(first_cell)), region);
    else
      out.emplace_back(shape.key_size, shape.value_size, statistics_, region, memory_.store);
  return out;
}

void CacheStore::update_sequence(const Group& group, std::int64_t key, Sequence& sequence) {
  if (!memory_.updates() || windows_unknown(sequence)) return;
  std::vector<HeadList*> lists;
  std::vector<HeadTokens> heads;
  double bytes = 0, halves = 0;     // of a token, as it is held and in 16 bits
  std::list<RowNumbers> elsewhere;  // of rows that are held there
  for (auto& [index, layer_heads] : sequence.layers) {
    const LayerShape& shape = layer_of(index).shape;
    if (shape.elsewhere) look_up(index, layer_heads, elsewhere.emplace_back());
    for (std::size_t h = 0; h < layer_heads.size(); ++h) {
      lists.push_back(&layer_heads[h]);
      heads.push_back(layer_heads[h].statistics().view());
      heads.back().layer = index;
      heads.back().kv_head = static_cast<int>(h);
      heads.back().tokens_seen = sequence.tokens_seen;
      if (shape.elsewhere) elsewhere.back().show(h, heads.back());
      bytes += static_cast<double>(layer_heads[h].row_bytes());
      halves += 2.0 * static_cast<double>(shape.key_size + shape.value_size);
    }
  }
  if (lists.empty()) return;
  const auto count = static_cast<std::int64_t>(lists.size());
  // heads of one layer share their slots' holder, and there is little to do: one thread
  [[maybe_unused]] const int threads = holder_ ? 1 : usable_threads(threads_);
  const Selection selection = update_heads(memory_, heads, sequence.tokens_seen, bytes, 0, threads_, halves / bytes);
  for (std::size_t i = 0; i < lists.size(); ++i)
    if (selection.kept[i].size() < lists[i]->size()) sequence.exact_from = sequence.tokens_seen;
  // a mean is seen by all branches, and a token by its own
  const bool leave_means = cuts_ && !group.cells.at(stream_of(key)).branched.contains(sequence_of(key));
  FirstError error;
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1)
  for (std::int64_t i = 0; i < count; ++i)
    error.guard([&] {
      HeadList& list = *lists[static_cast<std::size_t>(i)];
      const auto& kept = selection.kept[static_cast<std::size_t>(i)];
      if (leave_means)
        list.evict(kept);
      else
        list.keep(kept);
    });
  error.rethrow();
  tidy();
  ++usage_.updates;
  usage_.nan_scores += selection.nan_scores;
}

void CacheStore::update() {
  settle_all();
  for (auto& group : groups_)
    if (!group->windowed)
      for (auto& [key, sequence] : group->sequences)
        if (!sequence.open) update_sequence(*group, key, sequence);
}

void CacheStore::reset(CachePolicy memory) {
  if (holder_)
    for (const std::string& why : {why_not_held_elsewhere(memory), holder_->beyond_devices(memory)})
      if (!why.empty()) throw std::invalid_argument(why);
  memory_ = std::move(memory);
  statistics_ = settings_of(memory_);
  if (holder_) hold_elsewhere(holder_);
  for (auto& group : groups_) {
    group->cells.clear();
    group->plans.clear();
    group->sequences.clear();
    group->attended = 0;
    ++group->batch;
  }
  staged_->cells.clear();
  shares_.clear();
  parts_.clear();
  in_batch_ = part_done_ = false;
  tidy();
  usage_ = {};  // last: what has gone is in nobody's peak
}

/// Of keys and values that are not elsewhere.
std::int64_t CacheStore::bytes_here() const {
  std::int64_t out = 0;
  for (const auto& group : groups_)
    for (const auto& [key, sequence] : group->sequences)
      for (const auto& [index, heads] : sequence.layers)
        if (!layers_.at(index)->shape.elsewhere)
          for (const HeadList& list : heads) out += static_cast<std::int64_t>(list.kv_bytes());
  return out;
}

void CacheStore::note_peak(std::int64_t elsewhere) {
  usage_.kv_bytes_peak = std::max(usage_.kv_bytes_peak, bytes_here() + elsewhere);
}

void CacheStore::measure() {
  usage_.tokens_seen = usage_.entries = usage_.entries_full = usage_.kv_bytes = usage_.kv_bytes_full = 0;
  usage_.statistics_bytes = static_cast<std::int64_t>(staged_->bytes());
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
  if (holder_) {
    usage_.kv_bytes = bytes_here() + holder_->kv_bytes();
    usage_.statistics_bytes += holder_->other_bytes();
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
