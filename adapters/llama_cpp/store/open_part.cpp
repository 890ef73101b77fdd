// The newest part of a batch: open until it is known whether the runtime computed it to the end or removed it again.
#include <algorithm>
#include <vector>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "base/threads.hpp"

namespace namm::llama {

void CacheStore::open_part(Group& group, int stream, const BatchPlan& plan) {
  for (const QueryGroup& queries : plan.groups) {
    Sequence& sequence = group.sequences[sequence_key(stream, queries.sequence)];
    sequence.open = OpenPart{queries.positions.front(), queries.positions.back(), sequence.tokens_seen, false, {}};
  }
}

/// True if an update is due behind it.
bool CacheStore::crossed(const OpenPart& open) const {
  return open.first / memory_.interval_tokens != (std::int64_t{open.last} + 1) / memory_.interval_tokens;
}

void CacheStore::settle(const Group& group, Sequence& sequence) {
  if (!sequence.open) return;
  const OpenPart open = std::move(*sequence.open);
  sequence.open.reset();
  std::vector<HeadList*> lists;
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) lists.push_back(&list);
  const auto count = static_cast<std::int64_t>(lists.size());
  [[maybe_unused]] const int threads = usable_threads(threads_);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1 && statistics_.needed.reads_attention())
  for (std::int64_t i = 0; i < count; ++i) lists[static_cast<std::size_t>(i)]->commit();
  if (!open.attended || !crossed(open)) return;
  if (!group.windowed)
    update_sequence(sequence);
  else if (!open.window.empty())
    leave_window(sequence, open.window);
}

void CacheStore::take_back(Group& group, std::int64_t key, Sequence& sequence) {
  if (!sequence.open) return;
  const OpenPart open = std::move(*sequence.open);
  sequence.open.reset();
  for (auto& [index, heads] : sequence.layers)
    for (HeadList& list : heads) list.take_back();
  CellMap& cells = group.cells.at(stream_of(key));
  const std::int32_t number = sequence_of(key);
  for (std::size_t c = 0; c < cells.owner.size(); ++c)
    if (cells.owner[c] == number && cells.position[c] >= open.first) cells.take(c);
  cells.newest[static_cast<std::size_t>(number)] = open.first - 1;
  sequence.tokens_seen = open.tokens_seen;
  if (&group != primary()) return;
  for (BatchShare& share : shares_)
    if (share.key == key) share.last = std::min(share.last, open.first - 1);
  std::erase_if(shares_, [](const BatchShare& share) { return share.last < share.first; });
}

void CacheStore::settle_all() {
  for (auto& group : groups_)
    for (auto& [key, sequence] : group->sequences) settle(*group, sequence);
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

void CacheStore::batch_broken(std::int64_t advanced) {
  in_batch_ = false;
  Group* const first = primary();
  if (!first) return;
  bool attended = true, shared = false;
  std::int64_t open = 0, evaluated = 0;
  for (const auto& group : groups_)
    for (const auto& [key, sequence] : group->sequences) {
      if (!sequence.open) continue;
      attended = attended && sequence.open->attended;
      shared = shared || group->cells.at(stream_of(key)).branched.contains(sequence_of(key));
      if (group.get() == first) open += sequence.open->last - sequence.open->first + 1;
    }
  for (const BatchShare& share : shares_) evaluated += share.last - share.first + 1;
  if (!attended || (!shared && advanced == evaluated - open))
    take_back_all();
  else if (!shared && advanced == evaluated)  // it broke off before the next part came here
    settle_all();
  else
    broken_ = true;  // tokens of several sequences each: the next mask tells
}

void CacheStore::settle(std::int64_t key) {
  Group* const first = primary();
  const auto found = first ? first->sequences.find(key) : decltype(first->sequences.find(key))();
  if (!first || found == first->sequences.end()) return;
  for (const auto& [group, peer] : found->second.peers)
    if (const auto other = group->sequences.find(peer); other != group->sequences.end()) settle(*group, other->second);
  settle(*first, found->second);
}

void CacheStore::take_back(std::int64_t key) {
  Group* const first = primary();
  const auto found = first ? first->sequences.find(key) : decltype(first->sequences.find(key))();
  if (!first || found == first->sequences.end()) return;
  for (const auto& [group, peer] : found->second.peers)
    if (const auto other = group->sequences.find(peer); other != group->sequences.end()) take_back(*group, peer, other->second);
  take_back(*first, key, found->second);
  for (auto& group : groups_) erase_empty(*group);
}

/// Where nobody told: a query that sees tokens of the open part says that it was computed, one that sees the sequence without
/// them says that they were removed. In a sequence with branches it may also be another branch's, unless the batch is known to
/// have been broken off. A sequence that no query sees stays open.
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
    const bool branches = !cells.cuts || (cells.branched.contains(number) && !broken_);
    if (newest >= found->second.open->first || branches)
      settle(group, found->second);
    else
      take_back(group, key, found->second);
  }
}

}  // namespace namm::llama
