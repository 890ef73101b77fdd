#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/support/sanitizers.hpp"

namespace namm::test {

/// A line "Name:   123 kB" of a file under /proc/self, in bytes; -1 if it is not there.
inline std::int64_t proc_bytes(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;)
    if (word == name + ":") {
      std::int64_t kilobytes = 0;
      in >> kilobytes;
      return kilobytes * 1024;
    }
  return -1;
}

/// Memory of this process that is not backed by a file, as the kernel counts it page by page.
inline std::int64_t anonymous_bytes() {
  return proc_bytes("/proc/self/smaps_rollup", "Anonymous");
}
inline std::int64_t resident_bytes() {
  return proc_bytes("/proc/self/status", "VmRSS");
}
/// Resident pages of mappings that ask for no reserve and no huge pages: keys and values of stores (PageRegion), nothing else in
/// a test program has them. -1 if the system does not tell.
inline std::int64_t unreserved_bytes() {
  std::ifstream in("/proc/self/smaps");
  std::int64_t sum = 0, resident = 0;
  bool known = false;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("Rss:", 0) == 0) resident = std::strtoll(line.c_str() + 4, nullptr, 10) * 1024;
    if (line.rfind("VmFlags:", 0) != 0) continue;
    known = true;
    if (line.find(" nr") != std::string::npos && line.find(" nh") != std::string::npos) sum += resident;
  }
  return known ? sum : -1;
}
/// Largest resident size since reset_peak().
inline std::int64_t peak_bytes() {
  return proc_bytes("/proc/self/status", "VmHWM");
}
inline bool reset_peak() {
  std::ofstream out("/proc/self/clear_refs");
  return static_cast<bool>(out << "5" << std::flush);
}

#if defined(NAMM_ASAN)
inline constexpr bool kFreedMemoryIsHeld = true;  // the sanitizer's quarantine
#else
inline constexpr bool kFreedMemoryIsHeld = false;
#endif

}  // namespace namm::test
