#pragma once
// What the files of the preloaded library share: the functions of the program's llama.cpp that ours stand in front of.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "adapters/preload/hooks.hpp"

namespace namm::preload {

/// An argument that llama.h passes by value, of a size we do not need to know: the calling conventions of x86-64 and AArch64 put
/// it on the stack (or a pointer to a copy there). What lies behind it on the caller's stack is copied along and never read.
struct Opaque {
  std::uint64_t words[64];
};

/// The function of that name behind this library in the search order, or else in a llama.cpp that the program loaded for itself
/// (Python's ctypes, a plugin). Null if there is none.
void* find(const char* name);
/// llama.cpp's libraries, if the program loaded them for itself, offer their names to the module from now on.
void offer_names();

/// A context of this process was to be created: attached to, or the reason why not is said. Else the first process says at its
/// end that there was none.
void tell_attached();
/// The program asked for one of llama.cpp's functions by name.
void tell_looked_up();

template <class Function>
Function* real(const char* name) {
  void* const found = find(name);
  if (!found) {
    std::fprintf(stderr, "namm: llama.cpp: must have the function %s, has not; use another version of it\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

template <class Function>
Function* optional(const char* name) {
  return reinterpret_cast<Function*>(find(name));
}

#define NAMM_REAL(name, ...)    \
  using Function = __VA_ARGS__; \
  static Function* const original = ::namm::preload::real<Function>(#name)

/// Null before the first context, and for good if the module could not be started.
extern const Hooks* loaded;

inline bool ours(const void* memory) {
  return loaded && loaded->attached(memory);
}
inline bool ours_context(const void* context) {
  return loaded && loaded->attached_context(context);
}

}  // namespace namm::preload
