#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "adapters/c/c_border.hpp"

namespace namm::c_border {

/// Structures begin with their size, as the caller's header has it: they may grow at their end, and an old caller gets what it
/// knows. Throws std::invalid_argument if there is no size.
template <class T>
void write_sized(T from, T* to, const char* what) {
  const std::size_t size = require(to, what).size;
  if (size < sizeof(std::size_t))
    throw std::invalid_argument(
        std::string(what).append(": size must be set to the size of the structure, is ").append(std::to_string(size)));
  from.size = size;
  std::memcpy(to, &from, std::min(size, sizeof(T)));
}

/// The same the other way; what the caller does not know is zero.
template <class T>
T read_sized(const T* from, const char* what) {
  const std::size_t size = require(from, what).size;
  if (size < sizeof(std::size_t))
    throw std::invalid_argument(
        std::string(what).append(": size must be set to the size of the structure, is ").append(std::to_string(size)));
  T out = {};
  std::memcpy(&out, from, std::min(size, sizeof(T)));
  return out;
}

}  // namespace namm::c_border
