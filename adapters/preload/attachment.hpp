#pragma once
#include <mutex>

#include "adapters/preload/hooks.hpp"
#include "adapters/preload/request_log.hpp"
#include "adapters/preload/sequence_names.hpp"

namespace namm::preload {

/// One context of the program with its store: follows the runtime's sequence operations, counts requests. Calls may come from any
/// thread.
class Attachment {
 public:
  Attachment(const Runtime& runtime, const void* model, const void* context, llama::CacheStore& store, RequestLog::Ended ended);

  const void* memory() const { return memory_; }
  void before_batch();
  /// `failure`: what went wrong in the store, empty if nothing. Returns the status for the program.
  int after_batch(int status);
  void cleared();
  void removed(std::int32_t sequence);
  void kept_only(std::int32_t sequence);
  bool copying();
  void refused() { poisoned_ = true; }
  std::int32_t oldest_position(std::int32_t sequence, std::int32_t real);
  /// Ends requests that nothing was evaluated for since `before` (seconds of the steady clock).
  void end_idle(double before);
  void end_all();

 private:
  std::int32_t newest(std::int32_t sequence) const;
  void forget(std::int64_t key);

  Runtime runtime_;
  void* memory_;
  std::int32_t sequence_count_;
  int window_tokens_;
  llama::CacheStore& store_;
  std::mutex mutex_;
  SequenceNames names_;
  RequestLog requests_;
  std::vector<std::int32_t> before_;
  double batch_began_ = 0, batch_ended_ = 0;
  bool poisoned_ = false, in_batch_ = false;
};

/// Seconds of the steady clock.
double now_seconds();

}  // namespace namm::preload
