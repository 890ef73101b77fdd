// A sequence copied from one stream of the cache to another. The runtime copies cells by their number, and its tensors, which are
// empty; here the lists are copied. From then on each copy has its own lists, budget and statistics.
#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"

namespace namm::llama {

std::vector<std::int64_t> CacheStore::copy_stream(int source, int target) {
  std::vector<std::int64_t> out;
  const auto moved = [&](std::int64_t key) { return sequence_key(target, sequence_of(key)); };
  std::vector<std::map<int, CellMap>> cells(groups_.size());
  std::vector<std::map<std::int64_t, Sequence>> sequences(groups_.size());
  // all copies first: where memory or a policy refuses, nothing has changed
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = *groups_[g];
    const auto from = group.cells.find(source);
    if (from == group.cells.end()) continue;
    cells[g].emplace(target, from->second);
    for (auto& [key, sequence] : group.sequences) {
      if (stream_of(key) != source) continue;
      settle(group, key, sequence);
      Sequence& to = sequences[g][moved(key)];
      to.tokens_seen = sequence.tokens_seen;
      to.exact_from = sequence.exact_from;
      to.oldest_seen = sequence.oldest_seen;
      to.kv_bytes_peak = sequence.kv_bytes_peak;
      for (const auto& [other, peer] : sequence.peers) to.peers[other] = moved(peer);
      for (const auto& [index, heads] : sequence.layers) {
        const auto region = std::make_shared<PageRegion>();
        for (std::size_t h = 0; h < heads.size(); ++h) {
          std::vector<std::byte> held;
          if (layer_of(index).shape.elsewhere) held = holder_->read_rows(index, static_cast<int>(h), heads[h].slots());
          to.layers[index].push_back(heads[h].duplicate(region, std::move(held)));
        }
      }
      if (&group == primary()) out.push_back(moved(key));
    }
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    std::erase_if(groups_[g]->sequences, [&](const auto& entry) { return stream_of(entry.first) == target; });
    groups_[g]->cells.erase(target);
  }
  for (std::size_t g = 0; holder_ && g < groups_.size();
       ++g)  // their slots are free now; if there is no memory, the copy is gone
    for (auto& [key, sequence] : sequences[g]) put_rows(*groups_[g], target, sequence);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    groups_[g]->cells.merge(cells[g]);
    groups_[g]->sequences.merge(sequences[g]);
  }
  tidy();
  measure();
  return out;
}

}  // namespace namm::llama
