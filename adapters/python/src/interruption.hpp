#pragma once
#include <nanobind/nanobind.h>

#include <atomic>
#include <exception>

namespace namm::python {

/// Ctrl-C in Python's code while a run of the core calls it: the run is told to stop, which keeps what there is, and the
/// KeyboardInterrupt is Python's again behind it.
class Interruption {
 public:
  const std::atomic<bool>& stop() const { return stop_; }

  /// What `call` gives. Exceptions pass; a KeyboardInterrupt is remembered.
  template <class Call>
  auto noticing(const Call& call) {
    try {
      return call();
    } catch (nanobind::python_error& error) {
      if (error.matches(PyExc_KeyboardInterrupt)) {
        error_ = std::current_exception();
        stop_ = true;
      }
      throw;
    }
  }

  /// The same where the run must not be left half way: a KeyboardInterrupt is remembered and does not pass.
  template <class Call>
  void deferring(const Call& call) {
    try {
      noticing(call);
    } catch (...) {
      if (!stop_) throw;
    }
  }

  /// Behind the run.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> stop_{false};
  std::exception_ptr error_;
};

}  // namespace namm::python
