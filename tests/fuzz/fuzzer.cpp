// libFuzzer's side of one target, the one that NAMM_FUZZ_TARGET names. See run.sh.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/fuzz/target.hpp"

namespace {

const namm::fuzz::Target& chosen() {
  static const namm::fuzz::Target* const target = [] {
    const char* const wanted = std::getenv("NAMM_FUZZ_TARGET");
    for (const namm::fuzz::Target& one : namm::fuzz::targets())
      if (wanted && one.name == wanted) return &one;
    std::fputs("NAMM_FUZZ_TARGET: must be one of", stderr);
    for (const namm::fuzz::Target& one : namm::fuzz::targets()) std::fprintf(stderr, " %s", std::string(one.name).c_str());
    std::fprintf(stderr, ", is '%s'\n", wanted ? wanted : "");
    std::exit(2);
  }();
  return *target;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// NAMM_FUZZ_SEEDS=FOLDER writes the target's seeds there first; NAMM_FUZZ_TARGET=list names all targets.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* const wanted = std::getenv("NAMM_FUZZ_TARGET"); wanted && std::strcmp(wanted, "list") == 0) {
    for (const namm::fuzz::Target& one : namm::fuzz::targets()) std::puts(std::string(one.name).c_str());
    std::exit(0);
  }
  if (const char* const folder = std::getenv("NAMM_FUZZ_SEEDS")) chosen().write_seeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namm::fuzz::try_target(chosen(), {reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, most);
  if (!chosen().repair || seed % 4 == 0) return changed;
  const std::string repaired = chosen().repair({reinterpret_cast<const char*>(data), changed});
  std::memcpy(data, repaired.data(), repaired.size());  // checksums have their place: the size is the same
  return repaired.size();
}
