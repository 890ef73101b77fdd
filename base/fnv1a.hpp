#pragma once
#include <cstdint>
#include <string_view>

namespace namm {

inline constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325u;

/// FNV-1a, 64 bits, of `bytes` behind those that `state` stands for: tells contents apart, nothing more.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t state = kFnvStart) {
  for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return state;
}

}  // namespace namm
