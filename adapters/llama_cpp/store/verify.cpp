// What must be true of a store between batches, for tests that do whatever a program may do.
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"

namespace namm::llama {
namespace {

void must(bool holds, const char* what, std::int64_t key) {
  if (!holds)
    throw std::logic_error(
        std::string("KV cache: ").append(what).append(", sequence ").append(std::to_string(key)).append(" is not so"));
}

void verify_list(const HeadList& list, const CellMap& cells, std::int64_t tokens_seen, std::int64_t key) {
  const auto positions = list.statistics().view().positions;
  must(list.size() == positions.size(), "a list and its statistics must have the same tokens", key);
  must(list.means().tokens() + static_cast<std::int64_t>(list.size()) <= tokens_seen, "tokens must be held or evicted, once",
       key);
  for (std::size_t e = 0; e < list.size(); ++e) {
    must(e == 0 || positions[e] > positions[e - 1], "positions must ascend", key);
    const auto cell = static_cast<std::size_t>(list.cells()[e]);
    must(cell < cells.owner.size() && cells.owner[cell] == sequence_of(key) && cells.position[cell] == positions[e],
         "entries must be of cells that the sequence has", key);
  }
}

}  // namespace

void CacheStore::verify() const {
  for (const auto& group : groups_) {
    for (const auto& [stream, cells] : group->cells) {
      std::vector<std::int32_t> held(cells.held.size());
      for (std::size_t c = 0; c < cells.owner.size(); ++c) {
        if (cells.owner[c] == CellMap::kNobody) continue;
        const auto owner = static_cast<std::size_t>(cells.owner[c]);
        const std::int64_t key = sequence_key(stream, cells.owner[c]);
        must(owner < held.size() && group->sequences.contains(key), "cells must be of sequences that are there", key);
        must(cells.position[c] <= cells.newest[owner], "no token may be newer than the newest", key);
        ++held[owner];
      }
      must(held == cells.held, "cells must be counted", stream);
    }
    for (const auto& [key, sequence] : group->sequences) {
      const CellMap& cells = group->cells.at(stream_of(key));
      must(sequence.exact_from <= sequence.tokens_seen, "evictions must have been in view of tokens that are there", key);
      if (!sequence.open)
        must(sequence.tokens_seen == cells.newest[static_cast<std::size_t>(sequence_of(key))] + 1, "tokens must be counted", key);
      for (const auto& [index, heads] : sequence.layers)
        for (const HeadList& list : heads) verify_list(list, cells, sequence.tokens_seen, key);
      for (const auto& [other, peer] : sequence.peers)
        if (const auto found = other->sequences.find(peer); found != other->sequences.end()) {
          must(sequence.open || found->second.open || found->second.tokens_seen == sequence.tokens_seen,
               "a sequence must be as long in each cache", key);
          must(cells.branched.contains(sequence_of(key)) == other->cells.at(stream_of(peer)).branched.contains(sequence_of(peer)),
               "a sequence must have branches in each cache or in none", key);
        }
    }
  }
}

}  // namespace namm::llama
