#include "base/threads.hpp"

#include <pthread.h>

#include <atomic>

namespace namm {
namespace {

std::atomic<bool> forked{false};

const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

int usable_threads(int wanted) {
  return forked || registered != 0 ? 1 : wanted;
}

}  // namespace namm
