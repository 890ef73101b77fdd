// The sequences of a store: which of a context's caches are windows, who is who in them, what each sequence holds.
#include <algorithm>
#include <cmath>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"

namespace namm::llama {

void CacheStore::expect(int window_tokens, bool cuts) {
  window_tokens_ = window_tokens;
  cuts_ = cuts;
  find_windows();
}

void CacheStore::batch_begins() {
  batches_told_ = in_batch_ = true;
  part_done_ = false;
  parts_.clear();
  for (auto& group : groups_) {
    group->attended = 0;  // of a batch that was broken off
    for (auto& [stream, cells] : group->cells) cells.before.clear();
  }
}

void CacheStore::branched(std::int64_t key) {
  Group* const first = primary();
  if (!first) return;
  const auto found = first->sequences.find(key);
  if (found == first->sequences.end()) return;
  first->cells[stream_of(key)].branched.insert(sequence_of(key));
  for (const auto& [group, peer] : found->second.peers) group->cells[stream_of(peer)].branched.insert(sequence_of(peer));
}

/// Of two caches the one with fewer cells is that of the sliding-window layers. With as many cells (swa_full) it is the one whose
/// queries see less, once a sequence is longer than the window.
void CacheStore::find_windows() {
  if (window_tokens_ <= 0 || groups_.size() < 2) return;
  if (std::any_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->windowed; })) return;
  const auto seen = [](const Group& group) {
    std::int64_t sum = 0;
    for (const auto& [stream, plan] : group.plans)
      for (const QueryGroup& queries : plan.groups) sum += queries.seen;
    return sum;
  };
  std::size_t most_cells = 0;
  std::int64_t most_seen = 0;
  for (const auto& group : groups_) {
    most_cells = std::max(most_cells, group->cells_per_stream);
    most_seen = std::max(most_seen, seen(*group));
  }
  for (auto& group : groups_)
    group->windowed = group->cells_per_stream < most_cells || (seen(*group) > 0 && seen(*group) < most_seen);
}

bool CacheStore::windows_unknown(const Sequence& sequence) const {
  return window_tokens_ > 0 && groups_.size() > 1 && sequence.tokens_seen <= window_tokens_ &&
         std::none_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->windowed; });
}

/// The cache by whose sequences they are called: the first of those with the most cells. It is the same one before and after
/// windows are found, or everything known of a sequence by its name would be lost then.
CacheStore::Group* CacheStore::primary() const {
  const auto most = std::max_element(groups_.begin(), groups_.end(),
                                     [](const auto& a, const auto& b) { return a->cells_per_stream < b->cells_per_stream; });
  return most == groups_.end() ? nullptr : most->get();
}

/// Sequences whose last cell is gone.
void CacheStore::erase_empty(Group& group) {
  std::erase_if(group.sequences, [&](const auto& entry) {
    const auto cells = group.cells.find(stream_of(entry.first));
    return cells != group.cells.end() && cells->second.held[static_cast<std::size_t>(sequence_of(entry.first))] == 0;
  });
}

/// Counts the batch just attended, and finds each of its sequences in the other caches: they hold the same queries.
void CacheStore::note_sequences() {
  for (auto& group : groups_) {
    for (const auto& [stream, plan] : group->plans)
      for (const QueryGroup& queries : plan.groups)
        group->sequences[sequence_key(stream, queries.sequence)].tokens_seen = queries.positions.back() + 1;
    erase_empty(*group);
  }
  Group* const first = primary();
  for (const auto& [stream, plan] : first->plans)
    for (const QueryGroup& queries : plan.groups) {
      const std::int64_t key = sequence_key(stream, queries.sequence);
      for (auto& group : groups_) {
        if (group.get() == first || !group->plans.contains(stream)) continue;
        for (const QueryGroup& other : group->plans.at(stream).groups)
          if (other.queries.front() == queries.queries.front())
            first->sequences[key].peers[group.get()] = sequence_key(stream, other.sequence);
      }
      const auto share = std::find_if(shares_.begin(), shares_.end(), [&](const BatchShare& s) { return s.key == key; });
      if (share == shares_.end())
        shares_.push_back({key, stream, queries.positions.front(), queries.positions.back()});
      else
        share->last = queries.positions.back();
    }
}

/// What the newest query sees; empty if it is not to decide: then later ones, of another branch, might see more.
std::vector<bool> CacheStore::window_of(const QueryGroup& queries, const CellMap& cells) const {
  std::vector<bool> out;
  // a full cache is the runtime's own: until the cells are written again. Recordings need no more than what can be seen.
  if (!memory_.updates() || !cuts_ || cells.branched.contains(queries.sequence)) return out;
  const auto newest = static_cast<std::int32_t>(queries.queries.size()) - 1;
  for (const std::int32_t last : queries.last) out.push_back(last == newest);
  return out;
}

/// A sliding-window layer drops what the newest query does not see: no later one will.
void CacheStore::leave_window(Sequence& sequence, const std::vector<bool>& seen) {
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) {
      std::vector<std::int32_t> kept;
      for (std::size_t e = 0; e < list.size(); ++e) {
        const auto cell = static_cast<std::size_t>(list.cells()[e]);
        if (cell < seen.size() && seen[cell]) kept.push_back(static_cast<std::int32_t>(e));
      }
      if (kept.size() == list.size()) continue;
      list.keep(kept);
      const auto positions = list.statistics().view().positions;
      sequence.oldest_seen = positions.empty() ? -1 : positions.front();
    }
  tidy();
}

SequenceUse CacheStore::use_of(const Group& group, std::int64_t key, const Sequence& sequence) const {
  SequenceUse use;
  use.key = key;
  use.stream = stream_of(key);
  use.tokens_seen = sequence.tokens_seen;
  use.open_to = sequence.open ? std::int64_t{sequence.open->last} + 1 : -1;
  use.shared = group.cells.at(use.stream).branched.contains(sequence_of(key));
  use.exact_from = sequence.exact_from;
  use.oldest_in_window = sequence.oldest_seen;
  use.kv_bytes_peak = sequence.kv_bytes_peak;
  // what a full cache would hold: in a window, the cells that the runtime has not written again
  const std::int64_t tokens =
      group.windowed ? group.cells.at(use.stream).held[static_cast<std::size_t>(sequence_of(key))] : sequence.tokens_seen;
  for (const auto& [index, heads] : sequence.layers) {
    const LayerShape& shape = layers_.at(index)->shape;
    const std::int64_t full = tokens * shape.kv_heads;
    use.entries_full += full;
    use.kv_bytes_full += std::llround(static_cast<double>(full) * (static_cast<double>(shape.key_size) * shape.key_bytes +
                                                                   static_cast<double>(shape.value_size) * shape.value_bytes));
    for (const HeadList& list : heads) {
      use.entries += static_cast<std::int64_t>(list.size() + list.means().size());
      use.kv_bytes += static_cast<std::int64_t>(list.kv_bytes());
      use.statistics_bytes += static_cast<std::int64_t>(list.bookkeeping_bytes());
    }
  }
  return use;
}

std::vector<SequenceUse> CacheStore::sequences() const {
  std::vector<SequenceUse> out;
  const Group* const first = primary();
  if (!first) return out;
  for (const auto& [key, sequence] : first->sequences) {
    out.push_back(use_of(*first, key, sequence));
    SequenceUse& all = out.back();
    for (const auto& [group, peer] : sequence.peers) {
      const auto found = group->sequences.find(peer);
      if (found == group->sequences.end()) continue;
      const SequenceUse other = use_of(*group, peer, found->second);
      all.exact_from = std::max(all.exact_from, other.exact_from);
      all.oldest_in_window = std::max(all.oldest_in_window, other.oldest_in_window);
      all.entries += other.entries;
      all.entries_full += other.entries_full;
      all.kv_bytes += other.kv_bytes;
      all.kv_bytes_full += other.kv_bytes_full;
      all.kv_bytes_peak += other.kv_bytes_peak;
      all.statistics_bytes += other.statistics_bytes;
    }
  }
  return out;
}

std::vector<BatchShare> CacheStore::take_shares() {
  return std::exchange(shares_, {});
}

void CacheStore::forget(std::int64_t key) {
  Group* const first = primary();
  if (!first) return;
  const auto forget_in = [](Group& group, std::int64_t who) {
    group.sequences.erase(who);
    const auto cells = group.cells.find(stream_of(who));
    if (cells == group.cells.end()) return;
    for (std::size_t c = 0; c < cells->second.owner.size(); ++c)
      if (cells->second.owner[c] == sequence_of(who)) cells->second.take(c);
  };
  const auto found = first->sequences.find(key);
  if (found == first->sequences.end()) return;
  for (const auto& [group, peer] : found->second.peers) forget_in(*group, peer);
  forget_in(*first, key);
  tidy();
}

}  // namespace namm::llama
