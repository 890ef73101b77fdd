#pragma once
#include <atomic>
#include <exception>
#include <mutex>

namespace namm {

/// OpenMP regions must not leak exceptions: keeps the first one and rethrows it outside. Work that would begin after it is left
/// out: it may build on what was not done.
class FirstError {
 public:
  template <class Work>
  void guard(Work work) noexcept {
    if (failed_) return;
    try {
      work();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace namm
