#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "adapters/llama_cpp/context/request_log.hpp"
#include "adapters/llama_cpp/context/runtime.hpp"
#include "adapters/llama_cpp/context/saved_state.hpp"
#include "adapters/llama_cpp/context/sequence_names.hpp"

namespace namm::llama {

/// One context of the program with its store: follows the runtime's sequence operations, counts requests. Calls may come from any
/// thread.
class FollowedContext {
 public:
  FollowedContext(const Runtime& runtime, const void* model, void* context, CacheStore& store, RequestLog::Ended ended);

  const void* memory() const { return memory_; }
  /// For those who are not told of every batch and removal: learns from positions what went on since, and releases what the
  /// runtime removed.
  void catch_up();
  /// Takes what was cut off out of the lists, before an update that nothing of it should be in view of.
  void drop_cut_ends();
  void before_batch();
  /// Returns the status for the program. Throws what the policy throws: its update is due now, when the batch is known to have
  /// been computed.
  int after_batch(int status);
  /// The program read an output of the newest batch: of its token `index`, from the end if negative.
  void output_read(std::int32_t index);
  void cleared();
  void removed(std::int32_t sequence);
  void kept_only(std::int32_t sequence);
  /// Positions below `to` of a sequence (all: -1) are to be copied. Returns why that cannot be followed, empty if it can: nothing
  /// may be copied then, and the target is refused.
  std::string copying(std::int32_t source, std::int32_t target, std::int32_t to);
  /// Something that cannot be followed was asked for a sequence (-1: all) and not done: its batches fail until it is removed.
  void refused(std::int32_t sequence);
  /// For llama_memory_seq_pos_min, which is `real` without a policy: every position above it can be cut.
  std::int32_t oldest_position(std::int32_t sequence, std::int32_t real);
  /// True if nothing behind position `from` - 1 has shaped what is left of the sequence: nothing was evicted since.
  bool can_cut(std::int32_t sequence, std::int32_t from);
  /// Throws std::logic_error if names, lists and the runtime's own sequences do not agree: a fault of ours, for tests to find.
  void verify() const;
  /// A saved state of a sequence, or of all (-1); see saved_state.hpp. Throw std::runtime_error.
  std::size_t save_state(std::int32_t sequence, std::span<std::byte> to);
  std::size_t load_state(std::int32_t sequence, std::span<const std::byte> from);
  /// Reports requests that nothing was evaluated for since `before` (seconds of the steady clock).
  void end_idle(double before);
  void end_all();

 private:
  std::int32_t newest(std::int32_t sequence) const;
  std::vector<std::int32_t> candidates_of(const SequenceUse& use) const;
  void settle_by_positions();
  std::string copy_lists(std::int32_t source, std::int32_t target, std::int32_t to);
  void refuse(std::int32_t sequence, bool is = true);
  bool is_refused(std::int32_t sequence) const;
  void refuse_advanced();
  void refuse_half_read(std::span<const Advance> advances, std::span<const BatchShare> shares);
  bool lost(std::span<const Advance> advances) const;
  bool exact_from(std::int32_t sequence, std::int32_t from) const;
  void forget(std::int64_t key);
  void forget_all();
  void forget_sequence(std::int32_t sequence);
  void forget_list_of(std::int32_t sequence);
  std::int32_t newest_decided(std::int32_t sequence) const;
  StateSource state_source();

  Runtime runtime_;
  void* context_;
  void* memory_;
  std::int32_t sequence_count_;
  int window_tokens_;
  bool hybrid_;  // with a recurrent state beside the cache
  CacheStore& store_;
  std::mutex mutex_;
  SequenceNames names_;
  RequestLog requests_;
  std::vector<std::int32_t> before_;
  double batch_began_ = 0, batch_ended_ = 0;
  std::vector<bool> refused_;  // [sequence + 1], first of all: they are not what the program takes them for
  bool in_batch_ = false;
};

/// Seconds of the steady clock.
double now_seconds();

}  // namespace namm::llama
