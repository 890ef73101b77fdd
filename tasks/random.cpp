#include "tasks/random.hpp"

namespace namm::tasks {

std::uint64_t mix64(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3ULL;
  }
  return mix64(hash);
}

Rng::Rng(std::string_view purpose, Split split, std::uint64_t seed, std::uint64_t index) {
  std::uint64_t state = hash_text(purpose);
  state = mix64(state ^ static_cast<std::uint64_t>(split));
  state = mix64(state ^ seed);
  state = mix64(state ^ index);
  engine_.seed(state);
}

}  // namespace namm::tasks
