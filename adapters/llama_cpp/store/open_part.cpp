// The newest part of a batch: open until it is known whether the runtime computed it to the end or removed it again.
#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "base/first_error.hpp"
#include "base/threads.hpp"

namespace namm::llama {

void CacheStore::open_part(Group& group, int stream, const BatchPlan& plan) {
  for (const QueryGroup& queries : plan.groups) {
    Sequence& sequence = group.sequences[sequence_key(stream, queries.sequence)];
    sequence.open = OpenPart{queries.positions.front(), queries.positions.back(), false, false, {}};
    sequence.tokens_seen = queries.positions.front();  // less than before where the runtime has cut it
  }
}

/// True if an update is due behind it.
bool CacheStore::crossed(const OpenPart& open) const {
  return open.first / memory_.interval_tokens != (std::int64_t{open.last} + 1) / memory_.interval_tokens;
}

void CacheStore::settle(const Group& group, std::int64_t key, Sequence& sequence) {
  if (!sequence.open) return;
  const bool again = std::exchange(sequence.open->computed, true);
  const auto give_up = [&sequence] {
    sequence.open.reset();
    for (auto& [index, heads] : sequence.layers)
      for (HeadList& list : heads) list.leave_out();
  };
  try {
    finish_open(group, key, sequence);
  } catch (const std::bad_alloc&) {  // nothing has changed, or lists that are done are
    if (again) give_up();
    throw;
  } catch (...) {
    give_up();
    throw;
  }
  sequence.open.reset();
}

void CacheStore::finish_open(const Group& group, std::int64_t key, Sequence& sequence) {
  const OpenPart& open = *sequence.open;
  std::vector<HeadList*> lists;
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) lists.push_back(&list);
  const auto count = static_cast<std::int64_t>(lists.size());
  [[maybe_unused]] const int threads = usable_threads(threads_);
  FirstError error;
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1 && statistics_.needed.reads_attention())
  for (std::int64_t i = 0; i < count; ++i) error.guard([&] { lists[static_cast<std::size_t>(i)]->commit(); });
  error.rethrow();
  if (!open.attended || !crossed(open)) return;
  if (!group.windowed)
    update_sequence(group, key, sequence);
  else if (!open.window.empty())
    leave_window(sequence, open.window);
}

/// Needs no memory.
void CacheStore::take_back(Group& group, std::int64_t key, Sequence& sequence) {
  if (!sequence.open || sequence.open->computed) return;
  const OpenPart open = std::move(*sequence.open);
  sequence.open.reset();
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) list.take_back();
  CellMap& cells = group.cells.at(stream_of(key));
  const std::int32_t number = sequence_of(key);
  for (std::size_t c = 0; c < cells.owner.size(); ++c)
    if (cells.owner[c] == number && cells.position[c] >= open.first) cells.take(c);
  cells.newest[static_cast<std::size_t>(number)] = open.first - 1;
  sequence.tokens_seen = open.first;
  if (&group != primary()) return;
  for (BatchShare& share : shares_)
    if (share.key == key) share.last = std::min(share.last, open.first - 1);
  std::erase_if(shares_, [](const BatchShare& share) { return share.last < share.first; });
}

/// The same in another cache, where the sequence may still have an older part open, of which this one's queries came after: it
/// was computed.
void CacheStore::take_back_peer(Group& group, std::int64_t key, std::int32_t first) {
  const auto found = group.sequences.find(key);
  if (found == group.sequences.end() || !found->second.open) return;
  if (found->second.open->last < first || found->second.open->computed)
    settle(group, key, found->second);
  else
    take_back(group, key, found->second);
}

/// Each of them, also where one throws.
void CacheStore::settle_if(bool (*wanted)(const OpenPart&)) {
  FirstError error;
  for (auto& group : groups_)
    for (auto& [key, sequence] : group->sequences)
      if (sequence.open && wanted(*sequence.open)) error.guard([&, name = key, &one = sequence] { settle(*group, name, one); });
  error.rethrow();
}

void CacheStore::settle_all() {
  settle_if([](const OpenPart&) { return true; });
}

void CacheStore::settle_computed() {
  settle_if([](const OpenPart& open) { return open.computed; });
}

void CacheStore::take_back_all() {
  for (auto& group : groups_) {
    for (auto& [key, sequence] : group->sequences) take_back(*group, key, sequence);
    erase_empty(*group);
  }
}

void CacheStore::batch_done() {
  in_batch_ = false;
  settle_all();
}

/// True if the runtime cannot have kept any token of the newest part, with what its sequences went on by. Each token that it kept
/// counts at least once there, so two things show it: no more went on than the parts before, or at no place of the newest part
/// more than those hold there. The second presumes that places are positions (sequences begin at 0 and have no gaps).
bool CacheStore::newest_removed(std::span<const PositionRange> advanced) const {
  std::map<std::int32_t, std::int64_t> left;  // at each position: sequences that went on over it, less the tokens known there
  std::int64_t more = 0;
  const auto add = [&](const PositionRange& range, std::int64_t one) {
    for (std::int32_t at = range.first; at <= range.last; ++at) left[at] += one;
    more += one * (range.last - range.first + 1);
  };
  for (const PositionRange& range : advanced) add(range, 1);
  std::set<std::int32_t> places;
  for (const auto& part : parts_)
    for (const PositionRange& range : part)
      for (std::int32_t at = range.first; at <= range.last; ++at) places.insert(at);
  const bool known = std::all_of(left.begin(), left.end(), [&](const auto& entry) { return places.contains(entry.first); });
  for (std::size_t p = 0; p + 1 < parts_.size(); ++p)  // all but the newest
    for (const PositionRange& range : parts_[p]) add(range, -1);
  if (more <= 0) return true;
  return known && !parts_.empty() && std::all_of(parts_.back().begin(), parts_.back().end(), [&](const PositionRange& range) {
           for (std::int32_t at = range.first; at <= range.last; ++at)
             if (left[at] > 0) return false;
           return true;
         });
}

void CacheStore::batch_broken(std::span<const PositionRange> advanced) {
  in_batch_ = false;
  bool open = false, attended = true;
  for (const auto& group : groups_)
    for (const auto& [key, sequence] : group->sequences) {
      if (!sequence.open || sequence.open->computed) continue;
      open = true;
      attended = attended && sequence.open->attended;
    }
  // none is open where it broke off before the next part came here
  if (open && (!attended || newest_removed(advanced))) take_back_all();
  settle_all();
}

void CacheStore::settle(std::int64_t key) {
  Group* const first = primary();
  const auto found = first ? first->sequences.find(key) : decltype(first->sequences.find(key))();
  if (!first || found == first->sequences.end()) return;
  for (const auto& [group, peer] : found->second.peers)
    if (const auto other = group->sequences.find(peer); other != group->sequences.end()) settle(*group, peer, other->second);
  settle(*first, key, found->second);
}

/// Of entries that are about to be dropped because their cells have another owner: the newest position, -1 if there are none.
std::int32_t CacheStore::newest_lost(const Sequence& sequence, const std::vector<bool>& lost) {
  std::int32_t newest = -1;
  for (const auto& [index, heads] : sequence.layers)
    for (const HeadList& list : heads) {
      const auto positions = list.statistics().view().positions;
      for (std::size_t e = list.size(); e > 0; --e) {
        if (!lost[static_cast<std::size_t>(list.cells()[e - 1])]) continue;
        newest = std::max(newest, positions[e - 1]);
        break;
      }
    }
  return newest;
}

/// An open sequence loses entries: if they are of its open part, the runtime has removed that. In a window it may also write
/// again what the newest token sees no more.
void CacheStore::resolve_lost(Group& group, std::int64_t key, Sequence& sequence, std::int32_t newest) {
  if (!sequence.open || newest < 0) return;
  if (sequence.open->computed) return settle(group, key, sequence);
  const bool slides =
      group.windowed || std::none_of(groups_.begin(), groups_.end(), [](const auto& other) { return other->windowed; });
  const bool left_window = slides && window_tokens_ > 0 && newest + window_tokens_ <= sequence.open->last;
  if (newest < sequence.open->first || left_window) return settle(group, key, sequence);
  const std::int32_t from = sequence.open->first;
  for_each_peer(group, key, [&](Group& other, std::int64_t peer, Sequence&) { take_back_peer(other, peer, from); });
  take_back(group, key, sequence);
}

void CacheStore::take_back(std::int64_t key) {
  Group* const first = primary();
  const auto found = first ? first->sequences.find(key) : decltype(first->sequences.find(key))();
  if (!first || found == first->sequences.end()) return;
  for (const auto& [group, peer] : found->second.peers)
    take_back_peer(*group, peer, found->second.open ? found->second.open->first : 0);
  take_back(*first, key, found->second);
  for (auto& group : groups_) erase_empty(*group);
}

/// Where nobody told: a query that sees tokens of the open part says that it was computed, one that sees the sequence without
/// them says that they were removed. In a sequence with branches it may also be another branch's. A sequence that no query sees
/// stays open.
void CacheStore::resolve_by_mask(Group& group, int stream, const MaskView& mask, std::span<const std::int32_t> written) {
  if (std::none_of(group.sequences.begin(), group.sequences.end(),
                   [&](const auto& entry) { return stream_of(entry.first) == stream && entry.second.open; }))
    return;
  CellMap& cells = group.cells[stream];
  std::vector<std::int32_t> owner(cells.owner.begin(), cells.owner.end());
  for (const std::int32_t cell : written)
    if (static_cast<std::size_t>(cell) < owner.size()) owner[static_cast<std::size_t>(cell)] = CellMap::kNobody;
  std::map<std::int32_t, std::int32_t> newest_seen;  // by sequence
  for (std::size_t query = 0; query < written.size(); ++query) {
    const std::uint16_t* const row = mask.row(query);
    for (std::size_t c = 0; c < std::min(mask.cells, owner.size()); ++c) {
      if (owner[c] == CellMap::kNobody || !MaskView::sees(row[c])) continue;
      std::int32_t& newest = newest_seen.try_emplace(owner[c], -1).first->second;
      newest = std::max(newest, cells.position[c]);
    }
  }
  for (const auto& [number, newest] : newest_seen) {
    const std::int64_t key = sequence_key(stream, number);
    const auto found = group.sequences.find(key);
    if (found == group.sequences.end() || !found->second.open) continue;
    const bool branches = !cells.cuts || cells.branched.contains(number);
    if (newest >= found->second.open->first || branches || found->second.open->computed)
      settle(group, key, found->second);
    else
      take_back(group, key, found->second);
  }
}

}  // namespace namm::llama
