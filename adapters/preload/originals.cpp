#include "adapters/preload/originals.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <string>
#include <vector>

namespace namm::preload {
namespace {

using Lookup = void* (*)(void*, const char*) noexcept;  // else a tail call of it is none

// Asked for before anything is initialised, by sanitizers and allocators too: nothing here may be instrumented or call what is.
#ifdef __clang__  // has no such attribute: a build without optimisation makes ordinary calls of the tail calls below
#define NAMM_EARLY __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define NAMM_EARLY __attribute__((no_sanitize("address", "undefined", "thread"), optimize("O2")))
#endif

/// The system's dlsym: ours stands in front of it.
NAMM_EARLY Lookup system_lookup() noexcept {
  static Lookup lookup = nullptr;
  if (!lookup) lookup = reinterpret_cast<Lookup>(dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34"));
  if (!lookup) lookup = reinterpret_cast<Lookup>(dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17"));
  if (!lookup) lookup = reinterpret_cast<Lookup>(dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5"));
  return lookup;
}

/// Paths of llama.cpp's libraries in this process.
std::vector<std::string> libraries() {
  std::vector<std::string> out;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* list) {
        const char* const slash = info->dlpi_name ? std::strrchr(info->dlpi_name, '/') : nullptr;
        if (slash && (std::strncmp(slash, "/libllama.", 10) == 0 || std::strncmp(slash, "/libggml", 8) == 0))
          static_cast<std::vector<std::string>*>(list)->push_back(info->dlpi_name);
        return 0;
      },
      &out);
  return out;
}

/// This library, to look up its own functions.
void* self() {
  static void* const handle = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<void*>(&offer_names), &info) ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
  }();
  return handle;
}

}  // namespace

void* find(const char* name) {
  if (void* const found = system_lookup()(RTLD_NEXT, name)) return found;
  for (const std::string& path : libraries())
    if (void* const library = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD))
      if (void* const found = system_lookup()(library, name)) return found;
  return nullptr;
}

void offer_names() {
  for (const std::string& path : libraries()) dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
}

}  // namespace namm::preload

namespace {

/// A function of llama.cpp's: ours, if there is one and it is there at all.
void* llama_lookup(void* handle, const char* name) noexcept {
  using namespace namm::preload;
  void* const theirs = system_lookup()(handle, name);
  void* const ours = theirs && std::getenv("NAMM_ATTACH_MODULE") && self() ? system_lookup()(self(), name) : nullptr;
  if (ours) tell_looked_up();
  return ours ? ours : theirs;
}

NAMM_EARLY bool asks_for_llama(void* handle, const char* name) noexcept {
  constexpr char kPrefix[] = "llama_";
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT) return false;
  for (int i = 0; kPrefix[i]; ++i)
    if (name[i] != kPrefix[i]) return false;
  return true;
}

}  // namespace

/// Programs that load llama.cpp by themselves ask for its functions here, and get ours where there is one. The rest is a tail
/// call (a jump: hence the one return), which leaves the caller in its place: RTLD_NEXT means the library behind the caller's.
extern "C" __attribute__((visibility("default"))) NAMM_EARLY void* dlsym(void* handle, const char* name) noexcept {
  const namm::preload::Lookup lookup = asks_for_llama(handle, name) ? &llama_lookup : namm::preload::system_lookup();
  return lookup(handle, name);
}
