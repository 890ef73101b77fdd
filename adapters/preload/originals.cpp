#include "adapters/preload/originals.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <string>
#include <vector>

namespace namm::preload {
namespace {

using Lookup = void* (*)(void*, const char*);

/// The system's dlsym: ours stands in front of it. Written for the time before anything is initialised.
__attribute__((no_sanitize("address", "undefined"))) Lookup system_lookup() {
  static Lookup lookup = nullptr;
  for (const char* const version : {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"})
    if (!lookup) lookup = reinterpret_cast<Lookup>(dlvsym(RTLD_NEXT, "dlsym", version));
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

/// Programs that load llama.cpp by themselves ask for its functions here, and get ours where there is one. All else goes on as a
/// tail call, which keeps the caller's own place for RTLD_NEXT.
extern "C" __attribute__((visibility("default"), no_sanitize("address", "undefined"), optimize("O2"))) void* dlsym(
    void* handle, const char* name) noexcept {
  using namespace namm::preload;
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT || std::strncmp(name, "llama_", 6) != 0) return system_lookup()(handle, name);
  void* const theirs = system_lookup()(handle, name);
  void* const ours = theirs && std::getenv("NAMM_ATTACH_MODULE") && self() ? system_lookup()(self(), name) : nullptr;
  return ours ? ours : theirs;
}
