#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "adapters/llama_cpp/cache_store.hpp"

namespace namm::preload {

/// A sequence of the runtime that went on in the last batch: its newest position before and after (-1 = empty).
struct Advance {
  std::int32_t sequence = 0;
  std::int32_t before = -1, after = -1;
};

/// Which of the runtime's sequences (slots) each sequence of a store is. The graphs do not say; positions do, up to sequences
/// that began in the same batch with the same length: these stay several candidates until one goes on without the other.
class SequenceNames {
 public:
  /// `streams`: each sequence has a stream of its own, of the same number. Returns the keys that can be no sequence any more:
  /// their sequence began anew.
  std::vector<std::int64_t> learn(std::span<const Advance> advances, std::span<const llama::BatchShare> shares, bool streams);
  /// The runtime removed a sequence. Returns the keys that can be no sequence any more.
  std::vector<std::int64_t> remove(std::int32_t sequence);
  void clear() { candidates_.clear(); }
  /// A key came out of a saved state; it is one of these sequences.
  void restored(std::int64_t key, std::span<const std::int32_t> sequences) {
    if (!sequences.empty()) candidates_[key] = {sequences.begin(), sequences.end()};
  }
  /// The sequences that the key may be; empty if nothing is known.
  std::vector<std::int32_t> candidates_of(std::int64_t key) const;

  /// The keys that may be this sequence; empty if it holds nothing.
  std::vector<std::int64_t> keys_of(std::int32_t sequence) const;
  /// The sequence that the key is for certain, else -1.
  std::int32_t sequence_of(std::int64_t key) const;

 private:
  std::vector<std::int64_t> take_empty();
  void settle();
  std::map<std::int64_t, std::set<std::int32_t>> candidates_;  // by key
};

}  // namespace namm::preload
