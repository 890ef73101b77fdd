#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "evolve/unit_pool.hpp"

namespace namm::evolve {

/// Which rank was the first to measure on a prompt: it holds what a fitness remembers of it, as long as that remembers. Survives
/// batches.
class PromptHolders {
 public:
  static constexpr int kNobody = -1;
  int& of(const Prompt& prompt);
  /// Forgets everything once it has grown large, which costs time and changes no value.
  void limit();

 private:
  std::map<std::uint64_t, int> ranks_;  // by token_hash()
};

/// The groups of a batch that nobody has begun, in their order. Where a fitness shares work between the groups of a prompt, the
/// next one is of a prompt that the asking rank or nobody holds, and that nobody is working on (a second worker would only wait
/// for the first); other prompts come when nothing else is left. Not thread-safe.
class GroupQueue {
 public:
  /// Both live longer than the queue.
  GroupQueue(const UnitBatch& batch, PromptHolders& holders);
  /// Nothing if all are begun.
  std::optional<std::size_t> take(int rank);
  /// A group that was taken has been measured.
  void done(std::size_t group);

 private:
  struct Place {
    std::size_t prompt = 0;
    int* holder = nullptr;
    bool taken = false;
  };
  std::vector<Place> groups_;
  std::map<std::size_t, int> working_;  // [prompt] groups under way
  std::size_t first_ = 0;               // none before it is left
  bool shares_;
};

}  // namespace namm::evolve
