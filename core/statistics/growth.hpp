#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace namm::detail {

/// Room for `count` more values. Grows by an eighth instead of doubling: statistics stand next to the cache and are counted as
/// memory.
template <typename T>
void make_room(std::vector<T>& values, std::size_t count) {
  const std::size_t needed = values.size() + count;
  if (needed > values.capacity()) values.reserve(needed + needed / 8);
}

/// Appends `count` copies of `value`; throws nothing behind make_room().
template <typename T>
void extend(std::vector<T>& values, std::size_t count, T value) {
  make_room(values, count);
  values.resize(values.size() + count, value);
}

/// Keeps the entries (of `width` values each) with these ascending indices, in place, and gives back what is no longer needed.
/// Indices at or above the present number of entries are left out.
template <typename T>
void gather(std::vector<T>& values, std::size_t width, std::span<const std::int32_t> kept) {
  std::size_t out = 0;
  for (const std::int32_t index : kept) {
    const std::size_t from = static_cast<std::size_t>(index) * width;
    if (from >= values.size()) break;
    for (std::size_t i = 0; i < width; ++i) values[out++] = values[from + i];
  }
  values.resize(out);
  if (values.capacity() > out + out / 8) values.shrink_to_fit();
}

/// Keeps the first `entries` values, at most; throws nothing.
template <typename T>
void shorten(std::vector<T>& values, std::size_t entries) {
  if (values.size() > entries) values.resize(entries);
  if (values.capacity() > entries + entries / 8) values.shrink_to_fit();
}

template <typename T>
std::size_t bytes_of(const std::vector<T>& values) {
  return values.capacity() * sizeof(T);
}

}  // namespace namm::detail
