#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

/// A sequence of the runtime that went on in the last batch: its newest position before and after (-1 = empty).
struct Advance {
  std::int32_t sequence = 0;
  std::int32_t before = -1, after = -1;
};

/// Which of the runtime's sequences (slots) each sequence of a store is. The graphs do not say; positions do, up to sequences
/// that began in the same batch with the same length: these stay several candidates until one goes on without the other.
/// A sequence of the store with branches is all of its sequences at once, and ends with the last of them.
class SequenceNames {
 public:
  /// `streams`: each sequence has a stream of its own, of the same number. Returns the keys that can be no sequence any more:
  /// their sequence began anew. `touched`: further keys of a batch that was broken off, of which it is not known what is left.
  std::vector<std::int64_t> learn(std::span<const Advance> advances, std::span<const BatchShare> shares, bool streams,
                                  std::span<const std::int64_t> touched = {});
  /// The runtime copied a sequence. Returns the keys that hold both from now on, as far as is known.
  std::vector<std::int64_t> copied(std::int32_t source, std::int32_t target);
  /// The key is this sequence for certain.
  void is(std::int64_t key, std::int32_t sequence);
  /// The key may hold tokens of all these sequences.
  void share(std::int64_t key, std::span<const std::int32_t> sequences);
  /// The runtime removed a sequence. Returns the keys that can be no sequence any more.
  std::vector<std::int64_t> remove(std::int32_t sequence);
  /// The store holds these keys and no others.
  void retain(std::span<const std::int64_t> keys);
  void clear();
  /// A key came out of a saved state, which does not say whether several sequences were candidates or branches: taken for
  /// branches, nothing of theirs is released too early. One that is left of several has positions of its own: shared, too.
  void restored(std::int64_t key, std::span<const std::int32_t> sequences);
  /// The sequences that the key may be; empty if nothing is known.
  std::vector<std::int32_t> candidates_of(std::int64_t key) const;

  /// The keys that may be this sequence; empty if it holds nothing.
  std::vector<std::int64_t> keys_of(std::int32_t sequence) const;
  /// The sequence that the key is for certain, else -1.
  std::int32_t sequence_of(std::int64_t key) const;

 private:
  std::vector<std::int64_t> take_empty();
  void settle();
  std::map<std::int64_t, std::set<std::int32_t>> candidates_;  // by key: it is one of these
  std::map<std::int64_t, std::set<std::int32_t>> shared_;      // by key: it is, or may be, all of these
};

}  // namespace namm::llama
