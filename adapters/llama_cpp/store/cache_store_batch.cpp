// A batch on its way through a store: layer by layer rows are written and attended to, then sequences are counted
// (open_part.cpp has what follows).
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/group_attention.hpp"
#include "base/threads.hpp"
#include "kernels/half.hpp"

namespace namm::llama {
namespace {

constexpr std::size_t kStagingKept = 4 << 10;  // bytes: what small models decode with, nothing beside a cache

}  // namespace

CacheStore::Staging& CacheStore::stage(int layer) {
  if (staged_->layer == layer) return *staged_;
  staged_->layer = layer;
  staged_->cells.clear();  // of a batch that was broken off
  staged_->keys.clear();
  staged_->values.clear();
  return *staged_;
}

void CacheStore::write_keys(int index, const float* rows, std::size_t stride, std::span<const std::int64_t> cells,
                            const float* plain, const Rotation* rotation) {
  Layer& layer = layer_of(index);
  begin_layer(layer);
  Staging& staged = stage(index);
  staged.cells.assign(cells.begin(), cells.end());
  staged.rotation = rotation;
  const std::size_t width = layer.shape.key_size * layer.shape.kv_heads;
  staged.keys.resize(cells.size() * width);
  for (std::size_t i = 0; i < cells.size(); ++i)
    kernels::floats_to_halves(rows + i * stride, staged.keys.data() + i * width, width);
  if (plain)
    staged.plain_keys.assign(plain, plain + cells.size() * width);
  else
    staged.plain_keys.clear();
}

void CacheStore::begin_layer(Layer& layer) {
  Group& group = *layer.group;
  if (layer.batch == group.batch) {  // this layer had its turn: a new part begins
    // in the same batch: the one before was done. With two caches, only the first of them to begin comes before any attention
    if (in_batch_ && part_done_ && std::all_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->attended == 0; }))
      settle_all();
    ++group.batch;
    group.plans.clear();
    group.attended = 0;
  }
  layer.batch = group.batch;
}

void CacheStore::write_values(int index, const float* rows, std::size_t stride, std::size_t tokens) {
  const LayerShape& shape = layer_of(index).shape;
  Staging& staged = stage(index);
  const std::size_t width = shape.value_size * shape.kv_heads;
  staged.values.resize(tokens * width);
  for (std::size_t i = 0; i < tokens; ++i) kernels::floats_to_halves(rows + i * stride, staged.values.data() + i * width, width);
  staged.plain_values.clear();
  if (!reads_content()) return;
  for (std::size_t i = 0; i < tokens; ++i)
    staged.plain_values.insert(staged.plain_values.end(), rows + i * stride, rows + i * stride + width);
}

void CacheStore::attend(int index, const AttentionCall& wanted) {
  AttentionCall call = wanted;
  call.threads = usable_threads(wanted.threads);
  Layer& layer = layer_of(index);
  Group& group = *layer.group;
  const auto per_stream = static_cast<std::size_t>(call.queries_per_stream);
  Staging& staged = stage(index);
  if (staged.cells.empty())  // evicted already after its own layer, and seen by the policy twice
    throw std::runtime_error("KV cache: each layer must have keys and values of its own, layer " + std::to_string(index) +
                             " is read by a second one (gemma3n); a memory policy cannot be attached to this model");
  if (staged.cells.size() != per_stream * call.streams ||
      staged.keys.size() / layer.shape.key_size != staged.values.size() / layer.shape.value_size)
    throw std::runtime_error("KV cache: layer " + std::to_string(index) + " attends with " +
                             std::to_string(per_stream * call.streams) + " queries but was written " +
                             std::to_string(staged.cells.size()) + " tokens; this graph is not supported");
  const bool watches = memory_.observer && memory_.observer->wants_attention();
  for (int s = 0; s < call.streams; ++s) {
    const int stream = call.first_stream + s;
    const BatchPlan& plan = plan_part(group, stream, call.masks[static_cast<std::size_t>(s)],
                                      std::span(staged.cells).subspan(s * per_stream, per_stream));
    for (const QueryGroup& queries : plan.groups) {
      Sequence& sequence = group.sequences[sequence_key(stream, queries.sequence)];
      auto& heads = sequence.layers[index];
      if (heads.empty()) heads = make_lists(layer.shape);
      const bool observes = statistics_.needed.reads_attention() && !rows_wait(queries);
      for (HeadList& list : heads) list.open(observes);
      append(layer, heads, queries, s * per_stream);
      if (call.plain_queries) show_queries(layer, queries, call, s * per_stream);
      attend_group(heads, queries, call, s, {index, watches ? memory_.observer.get() : nullptr});
    }
  }
  threads_ = call.threads;
  staged.cells.clear();
  end_layer(group);
}

/// Who sees what in this part, the same for all layers of a cache: the first one plans it. `written`: as the runtime counts
/// cells.
const BatchPlan& CacheStore::plan_part(Group& group, int stream, const MaskView& mask,
                                       std::span<const std::int64_t> cells_in_all) {
  if (const auto known = group.plans.find(stream); known != group.plans.end()) return known->second;
  std::vector<std::int32_t> written;
  for (const std::int64_t cell : cells_in_all)
    written.push_back(static_cast<std::int32_t>(cell - static_cast<std::int64_t>(stream * group.cells_per_stream)));
  CellMap& cells = group.cells[stream];
  cells.cuts = cuts_;
  if (!batches_told_) cells.before.clear();
  resolve_by_mask(group, stream, mask, written);
  const std::vector<std::int32_t> newest = cells.newest;
  std::set<std::int32_t> branched = cells.branched;
  make_room_to_drop(cells);
  const BatchPlan* plan = nullptr;
  std::vector<Cut> cuts;
  try {
    plan = &group.plans.emplace(stream, plan_batch(mask, written, cells)).first->second;
    check_windows(group, stream, *plan);
    check_cuts(group, stream, *plan);
    for (const QueryGroup& queries : plan->groups) group.sequences.try_emplace(sequence_key(stream, queries.sequence));
    make_room_to_drop(cells);
    resolve_reused(group, stream, *plan);
    cuts = cuts_in_peers(group, stream, *plan);
  } catch (...) {  // the runtime has written these cells all the same
    for (const std::int32_t cell : written)
      if (static_cast<std::size_t>(cell) < cells.owner.size()) cells.take(static_cast<std::size_t>(cell));
    std::erase_if(group.sequences, [&](const auto& entry) {
      return stream_of(entry.first) == stream && static_cast<std::size_t>(sequence_of(entry.first)) >= newest.size();
    });
    for (std::size_t number = 0; number < newest.size(); ++number) {
      const auto planned = [&](const QueryGroup& queries) { return static_cast<std::size_t>(queries.sequence) == number; };
      // what else is older now has been taken back
      if (!plan || std::any_of(plan->groups.begin(), plan->groups.end(), planned)) cells.newest[number] = newest[number];
    }
    cells.newest.resize(newest.size());
    cells.held.resize(newest.size());
    cells.branched.swap(branched);
    group.plans.erase(stream);
    drop_unowned(group, stream);
    throw;
  }
  // from here on nothing is refused. In all layers and caches at once: of a broken batch the later ones would never hear
  drop_reused(group, stream, *plan);
  for (const Cut& cut : cuts) cut_in(cut);
  open_part(group, stream, *plan);
  return *plan;
}

void CacheStore::end_layer(Group& group) {
  ++group.attended;
  if (std::all_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->attended == g->layers; })) finish_part();
}

/// What left a window before a branch was known, in an earlier part of the batch, cannot come back.
void CacheStore::check_windows(const Group& group, int stream, const BatchPlan& plan) const {
  const CellMap& cells = group.cells.at(stream);
  for (const QueryGroup& queries : plan.groups) {
    const auto sequence = group.sequences.find(sequence_key(stream, queries.sequence));
    if (sequence == group.sequences.end() || sequence->second.oldest_seen < 0) continue;
    for (std::size_t c = 0; c < queries.last.size(); ++c)
      if (queries.last[c] >= 0 && cells.position[c] < sequence->second.oldest_seen)
        throw std::runtime_error("KV cache: a branch must begin with its window still held, begins where position " +
                                 std::to_string(cells.position[c]) +
                                 " is seen, which has left it; give branches a batch of their own, or copy the sequence first");
  }
}

void CacheStore::check_cuts(const Group& group, int stream, const BatchPlan& plan) const {
  const CellMap& cells = group.cells.at(stream);
  for (const QueryGroup& queries : plan.groups) {
    const auto sequence = group.sequences.find(sequence_key(stream, queries.sequence));
    if (sequence == group.sequences.end() || cells.branched.contains(queries.sequence)) continue;
    check_cut(group, sequence->second, queries.positions.front());
  }
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
      const LayerTokens tokens{shape.layer,
                               shape.kv_heads,
                               shape.key_size,
                               shape.value_size,
                               positions,
                               staged_->plain_keys.data() + token * key_width,
                               staged_->plain_values.data() + token * value_width,
                               staged_->rotation};
      if (const ContentReader* const reader = memory_.reader()) {
        content.resize(heads.size() * (end - i));
        reader->read(tokens, content);
      }
      if (memory_.observer && memory_.observer->wants_tokens()) memory_.observer->on_tokens(tokens);
    }
    for (std::size_t h = 0; h < heads.size(); ++h)
      heads[h].append(cells, positions, {staged_->keys.data() + token * key_width + h * shape.key_size, key_width},
                      {staged_->values.data() + token * value_width + h * shape.value_size, value_width},
                      content.empty() ? std::span<const float>() : std::span(content).subspan(h * (end - i), end - i));
    i = end;
  }
}

void CacheStore::show_queries(const Layer& layer, const QueryGroup& queries, const AttentionCall& call,
                              std::size_t first_token) const {
  const auto heads = static_cast<std::size_t>(call.query_heads);
  const ContentReader* const reader = memory_.reader();
  const bool watches = memory_.observer && memory_.observer->wants_queries();
  for (std::size_t i = 0; i < queries.queries.size(); ++i) {
    const std::size_t token = first_token + static_cast<std::size_t>(queries.queries[i]);
    const LayerQueries one{layer.shape.layer,
                           heads,
                           layer.shape.key_size,
                           {queries.positions.data() + i, 1},
                           call.plain_queries + token * heads * layer.shape.key_size,
                           call.scale,
                           staged_->rotation};
    if (reader && reader->reads_queries()) reader->read_queries(one);
    if (watches) memory_.observer->on_queries(one);
  }
}

void CacheStore::drop(Sequence& sequence, const std::vector<bool>& lost) {
  std::vector<std::int32_t>& kept = staged_->kept;
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) {
      kept.clear();
      for (std::size_t e = 0; e < list.size(); ++e)
        if (!lost[static_cast<std::size_t>(list.cells()[e])]) kept.push_back(static_cast<std::int32_t>(e));
      if (kept.size() < list.size()) list.keep(kept);
    }
}

/// Behind it drop_reused() and drop_unowned() need no memory where no list is open: no list has more entries than cells.
void CacheStore::make_room_to_drop(const CellMap& cells) {
  staged_->kept.reserve(cells.owner.size());
  staged_->lost.reserve(cells.owner.size());
}

/// Calls work(key, sequence) for each sequence that loses cells, which staged_->lost then tells.
template <class Work>
void CacheStore::for_each_loser(Group& group, int stream, const BatchPlan& plan, Work work) {
  if (plan.reused.empty()) return;
  std::vector<bool>& reused = staged_->lost;
  reused.assign(group.cells.at(stream).owner.size(), false);
  for (const auto& [owner, cell] : plan.reused) reused[static_cast<std::size_t>(cell)] = true;
  std::int32_t last_owner = CellMap::kNobody;
  for (const auto& [owner, cell] : plan.reused) {
    if (owner == last_owner) continue;
    last_owner = owner;
    const std::int64_t key = sequence_key(stream, owner);
    if (const auto sequence = group.sequences.find(key); sequence != group.sequences.end()) work(key, sequence->second);
  }
}

void CacheStore::resolve_reused(Group& group, int stream, const BatchPlan& plan) {
  for_each_loser(group, stream, plan, [&](std::int64_t key, Sequence& sequence) {
    if (sequence.open) resolve_lost(group, key, sequence, newest_lost(sequence, staged_->lost));
  });
}

void CacheStore::drop_reused(Group& group, int stream, const BatchPlan& plan) {
  for_each_loser(group, stream, plan, [&](std::int64_t, Sequence& sequence) { drop(sequence, staged_->lost); });
}

/// Where it is not known which cells were written again: what a sequence does not own, it has lost.
void CacheStore::drop_unowned(Group& group, int stream) {
  const CellMap& cells = group.cells.at(stream);
  for (auto& [key, sequence] : group.sequences) {
    if (stream_of(key) != stream) continue;
    std::vector<bool>& lost = staged_->lost;
    lost.assign(cells.owner.size(), true);
    for (std::size_t c = 0; c < cells.owner.size(); ++c) lost[c] = cells.owner[c] != sequence_of(key);
    if (sequence.open) resolve_lost(group, key, sequence, newest_lost(sequence, lost));
    drop(sequence, lost);
  }
}

/// Where the tokens of the newest part are: by the cache in which they see most, which is no window.
std::vector<PositionRange> CacheStore::places_of_part() const {
  std::vector<PositionRange> out;
  std::int64_t most = -1;
  for (const auto& group : groups_) {
    std::vector<PositionRange> places;
    std::int64_t sum = 0;
    for (const auto& [stream, plan] : group->plans)
      for (const QueryGroup& queries : plan.groups)
        for (const PositionRange& range : queries.places) {
          places.push_back(range);
          sum += (std::int64_t{range.first} + range.last) * (range.last - range.first + 1);
        }
    if (sum <= most) continue;
    most = sum;
    out = std::move(places);
  }
  return out;
}

void CacheStore::finish_part() {
  part_done_ = true;
  if (in_batch_) parts_.push_back(places_of_part());
  for (auto& group : groups_) group->attended = 0;  // else a cache whose layers come last would count as done in the next part
  find_windows();
  note_sequences();
  measure();
  if (staged_->bytes() > kStagingKept) *staged_ = {};
  for (auto& group : groups_)
    for (const auto& [stream, plan] : group->plans)
      for (const QueryGroup& queries : plan.groups) {
        OpenPart& open = *group->sequences.at(sequence_key(stream, queries.sequence)).open;
        if (group->windowed && crossed(open)) open.window = window_of(queries, group->cells.at(stream));
      }
  for (auto& group : groups_)  // where memory was refused before, the part is taken back
    for (const auto& [stream, plan] : group->plans)
      for (const QueryGroup& queries : plan.groups)
        group->sequences.at(sequence_key(stream, queries.sequence)).open->attended = true;
}

}  // namespace namm::llama
