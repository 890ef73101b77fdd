#pragma once
// What a CacheStore is made of: shared by its source files, not for its users.
#include <optional>

#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

struct CacheStore::Layer {
  LayerShape shape;
  Group* group = nullptr;
  std::uint64_t batch = 0;  // the batch it was last written in
};

/// What a layer was written, until its mask tells whose it is. Layers take turns, so one place serves all of them.
struct CacheStore::Staging {
  int layer = -1;
  std::vector<std::int64_t> cells;              // none: the layer has attended
  std::vector<std::uint16_t> keys, values;      // rows [token][kv_heads * size]
  std::vector<float> plain_keys, plain_values;  // the same for the policy's reader; empty if it has none
  const Rotation* rotation = nullptr;           // of the keys, while the batch is computed
  std::vector<std::int32_t> kept;               // room for the entries of one list that stay when others lose their cells
  std::vector<bool> lost;                       // [cell] room, likewise
  std::size_t bytes() const {
    return cells.capacity() * sizeof(std::int64_t) + (keys.capacity() + values.capacity()) * sizeof(std::uint16_t) +
           (plain_keys.capacity() + plain_values.capacity()) * sizeof(float) + kept.capacity() * sizeof(std::int32_t) +
           lost.capacity() / 8;
  }
};

/// Statistics of the rows of a layer that the holder of the rows knows, [head][entry]; empty: not needed.
struct CacheStore::RowNumbers {
  std::vector<std::vector<float>> key_norms, value_norms, contents;
  void show(std::size_t head, HeadTokens& tokens) const {
    if (!key_norms.empty()) tokens.key_norm = key_norms[head];
    if (!value_norms.empty()) tokens.value_norm = value_norms[head];
    if (!contents.empty()) tokens.content = contents[head];
  }
};

/// Queries of one sequence in the part that was placed last.
struct CacheStore::PlacedGroup {
  const QueryGroup* queries;
  std::int64_t key;    // of the sequence
  std::int32_t first;  // query of the part with which its stream begins
  std::size_t tokens;  // of all groups
};

/// A sequence that the runtime has cut, in one cache, and that is not cut there yet.
struct CacheStore::Cut {
  Group* group;
  std::int64_t key;
  std::int32_t length;  // tokens that are left
};

/// What the newest part of a batch brought a sequence, while it may have to be taken back.
struct OpenPart {
  std::int32_t first = 0, last = 0;  // positions
  bool attended = false;             // by all layers
  bool computed = false;             // known to have been: what settling was refused memory for is left to do, once more
  std::vector<bool> window;          // [cell] the newest query sees it; empty: the window stays as it is
};

struct CacheStore::Sequence {
  std::optional<OpenPart> open;
  std::int64_t tokens_seen = 0;
  std::int64_t exact_from = 0;    // tokens seen at the last eviction: cut below, the list is not what a fresh start would hold
  std::int32_t oldest_seen = -1;  // windows: oldest position kept when what had left the window was last dropped
  std::int64_t kv_bytes_peak = 0;
  std::map<Group*, std::int64_t> peers;  // the same sequence in the other caches of the context
  std::map<int, std::vector<HeadList>> layers;
};

struct CacheStore::Group {
  const void* id = nullptr;
  std::size_t cells_per_stream = 0;
  int layers = 0;
  bool windowed = false;
  std::uint64_t batch = 0;
  int attended = 0;                            // layers done in this batch
  std::map<int, CellMap> cells;                // by stream
  std::map<int, BatchPlan> plans;              // by stream, of this batch
  std::map<std::int64_t, Sequence> sequences;  // by stream * 2^32 + sequence
};

/// A store's sequences apart from the runtime's cells: entries name rows of the runtime's own state instead.
struct SavedStore {
  struct Sequence {
    std::int32_t number = 0;
    CacheStore::Names names;
    std::int64_t exact_from = 0, kv_bytes_peak = 0;
    std::int32_t oldest_seen = -1;
    std::int32_t primary = -1;  // of the first cache's sequence that holds the same tokens
    std::map<int, std::vector<HeadList>> layers;
  };
  struct Part {
    int lowest_layer = 0;
    std::vector<std::int32_t> owner, position;  // [row]
    std::vector<Sequence> sequences;
  };
  std::vector<Part> parts;
};

/// Those of a list whose rows are elsewhere: their holder knows sizes, and what was read.
inline StatisticsSettings statistics_elsewhere(StatisticsSettings all) {
  all.needed = all.needed.without(Statistic::key_norm | Statistic::value_norm | Statistic::content);
  return all;
}

inline std::int64_t sequence_key(int stream, std::int32_t sequence) {
  return (static_cast<std::int64_t>(stream) << 32) + sequence;
}
inline int stream_of(std::int64_t key) {
  return static_cast<int>(key >> 32);
}
inline std::int32_t sequence_of(std::int64_t key) {
  return static_cast<std::int32_t>(key & 0xffffffff);
}

/// Calls work(group, key, sequence) for what the context's other caches hold of the sequence.
template <class Work>
void CacheStore::for_each_peer(Group& group, std::int64_t key, Work work) {
  Group* const first = primary();
  const auto visit = [&](Group& other, std::int64_t peer) {
    if (&other == &group) return;
    if (const auto found = other.sequences.find(peer); found != other.sequences.end()) work(other, peer, found->second);
  };
  for (auto& [name, sequence] : first->sequences) {
    const auto here = sequence.peers.find(&group);
    if (&group == first ? name != key : here == sequence.peers.end() || here->second != key) continue;
    visit(*first, name);
    for (const auto& [other, peer] : sequence.peers) visit(*other, peer);
  }
}

}  // namespace namm::llama
