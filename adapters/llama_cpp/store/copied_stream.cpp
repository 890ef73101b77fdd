// A sequence copied from one stream of the cache to another. The runtime copies cells by their number, and its tensors, which are
// empty; here the lists are copied. From then on each copy has its own lists, budget and statistics.
#include "adapters/llama_cpp/store/cache_store_parts.hpp"

namespace namm::llama {

std::vector<std::int64_t> CacheStore::copy_stream(int source, int target) {
  settle_all();
  std::vector<std::int64_t> out;
  const auto moved = [&](std::int64_t key) { return sequence_key(target, sequence_of(key)); };
  for (auto& group : groups_) {
    std::erase_if(group->sequences, [&](const auto& entry) { return stream_of(entry.first) == target; });
    group->cells.erase(target);
    const auto cells = group->cells.find(source);
    if (cells == group->cells.end()) continue;
    CellMap copy = cells->second;
    group->cells.emplace(target, std::move(copy));
    std::vector<std::pair<std::int64_t, Sequence>> copies;
    for (const auto& [key, sequence] : group->sequences) {
      if (stream_of(key) != source) continue;
      Sequence& to = copies.emplace_back(moved(key), Sequence()).second;
      to.tokens_seen = sequence.tokens_seen;
      to.exact_from = sequence.exact_from;
      to.oldest_seen = sequence.oldest_seen;
      to.kv_bytes_peak = sequence.kv_bytes_peak;
      for (const auto& [other, peer] : sequence.peers) to.peers[other] = moved(peer);
      for (const auto& [index, heads] : sequence.layers) {
        const auto region = std::make_shared<PageRegion>();
        for (const HeadList& list : heads) to.layers[index].push_back(list.duplicate(region));
      }
      if (group.get() == primary()) out.push_back(moved(key));
    }
    for (auto& [key, sequence] : copies) group->sequences.emplace(key, std::move(sequence));
  }
  measure();
  return out;
}

}  // namespace namm::llama
