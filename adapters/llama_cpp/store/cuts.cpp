// A cut that one cache of a context learns of, made in all of them: a batch may be broken off between the first layer of one and
// that of another (sliding windows have a cache of their own), and the sequence would be shorter in one.
#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"

namespace namm::llama {

/// What was evicted in view of tokens that have been cut off since cannot come back.
void CacheStore::check_cut(const Group& group, const Sequence& sequence, std::int32_t from) {
  if (group.windowed || from >= sequence.exact_from) return;
  throw std::runtime_error("KV cache: a sequence must go on behind its last eviction, after " +
                           std::to_string(sequence.exact_from) + " tokens, goes on at position " + std::to_string(from) +
                           "; what was evicted cannot come back: remove the whole sequence and read it again");
}

/// Before anything of a part is placed in this cache: which sequences have branches is noted in the others, and what they hold
/// open of one that was cut is resolved. Returns the cuts that are left to make, which then need no memory.
std::vector<CacheStore::Cut> CacheStore::cuts_in_peers(Group& group, int stream, const BatchPlan& plan) {
  std::vector<Cut> cuts;
  std::vector<std::pair<CellMap*, std::set<std::int32_t>>> branched;
  for (const QueryGroup& queries : plan.groups) {
    const std::int32_t length = queries.positions.front();  // where there are no branches
    const bool branches = group.cells.at(stream).branched.contains(queries.sequence);
    for_each_peer(group, sequence_key(stream, queries.sequence), [&](Group& other, std::int64_t key, Sequence& peer) {
      CellMap& cells = other.cells.at(stream);
      const bool known = cells.branched.contains(sequence_of(key));
      if (branches && !known) branched.emplace_back(&cells, std::set{sequence_of(key)});
      if (branches || known || peer.tokens_seen <= length) return;
      if (peer.open && !peer.open->computed && peer.open->first >= length)
        take_back(other, key, peer);
      else
        settle(other, key, peer);
      if (peer.tokens_seen <= length) return;
      check_cut(other, peer, length);
      make_room_to_drop(cells);
      cuts.push_back({&other, key, length});
    });
  }
  for (auto& [cells, one] : branched) cells->branched.merge(one);  // needs no memory
  return cuts;
}

void CacheStore::cut(std::int64_t key, std::int32_t length) {
  Group* const first = primary();
  if (!first) return;
  const auto found = first->sequences.find(key);
  if (found == first->sequences.end()) return;
  std::vector<Cut> cuts;
  bool exact = true;
  const auto add = [&](Group& group, std::int64_t in_group, const Sequence& sequence) {
    exact = exact && !sequence.open && (group.windowed || length >= sequence.exact_from);
    make_room_to_drop(group.cells.at(stream_of(in_group)));
    if (sequence.tokens_seen > length) cuts.push_back({&group, in_group, length});
  };
  add(*first, key, found->second);
  for_each_peer(*first, key, add);
  // of a list that was saved with branches positions run ahead of the runtime's: its first tokens are not all there
  const CellMap& cells = first->cells.at(stream_of(key));
  std::int32_t there = 0;
  for (std::size_t c = 0; c < cells.owner.size(); ++c) there += cells.owner[c] == sequence_of(key) && cells.position[c] < length;
  if (!exact || there < length) return;
  for (const Cut& one : cuts) cut_in(one);
}

void CacheStore::cut_in(const Cut& cut) {
  CellMap& cells = cut.group->cells.at(stream_of(cut.key));
  Sequence& sequence = cut.group->sequences.at(cut.key);
  const std::int32_t number = sequence_of(cut.key);
  std::vector<bool>& lost = staged_->lost;
  lost.assign(cells.owner.size(), false);
  for (std::size_t c = 0; c < cells.owner.size(); ++c) {
    if (cells.owner[c] != number || cells.position[c] < cut.length) continue;
    cells.take(c);
    lost[c] = true;
  }
  drop(sequence, lost);
  cells.newest[static_cast<std::size_t>(number)] = cut.length - 1;
  sequence.tokens_seen = cut.length;
}

}  // namespace namm::llama
