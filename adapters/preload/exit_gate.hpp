#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace namm::preload {

/// Through which batches go in, until the program exits: llama.cpp's own objects are destroyed then, and a thread that still
/// computes with them crashes, with a policy or without.
class ExitGate {
 public:
  /// False if it is shut: nothing may be computed any more.
  bool enter() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!shut_) ++inside_;
    return !shut_;
  }
  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }
  /// Waits for those inside, for `longest` at most: whoever exits may be one of them.
  void shut(std::chrono::milliseconds longest) {
    std::unique_lock<std::mutex> lock(mutex_);
    shut_ = true;
    empty_.wait_for(lock, longest, [&] { return inside_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  int inside_ = 0;
  bool shut_ = false;
};

}  // namespace namm::preload
