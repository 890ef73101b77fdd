#include "tests/llama/failing_allocations.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <new>

#include "tests/support/sanitizers.hpp"

extern "C" char __executable_start, etext;  // of this program, by the linker

namespace {

thread_local int left = -1;   // until one is refused; -1: none
thread_local int asked = -1;  // since; -1: nobody counts

[[maybe_unused]] bool refused() {  // sanitizers replace allocation themselves
  if (asked < 0) return false;
  ++asked;
  return left >= 0 && left-- == 0;
}

}  // namespace

namespace namm::test {

void refuse_allocation(int number) {
  left = number;
  asked = 0;
}

int allow_allocations() {
  const int out = asked;
  left = asked = -1;
  return out;
}

}  // namespace namm::test

#if !defined(NAMM_ASAN) && !defined(NAMM_TSAN)
__attribute__((noinline)) void* operator new(std::size_t size) {
  const auto* const caller = static_cast<const char*>(__builtin_return_address(0));
  if (caller >= &__executable_start && caller < &etext && refused()) throw std::bad_alloc();
  if (void* const out = std::malloc(size > 0 ? size : 1)) return out;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept {
  std::free(memory);
}
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

extern "C" void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if ((flags & MAP_NORESERVE) != 0 && refused()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, file, offset));
}
#endif
