#include "cli/fingerprint.hpp"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace namm::cli {
namespace {

constexpr std::uint64_t kStart = 0xcbf29ce484222325u;

std::uint64_t hash(std::uint64_t state, std::string_view bytes) {
  for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return state;
}

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string fingerprint(std::string_view text) {
  return hex(hash(kStart, text));
}

std::string file_fingerprint(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::uint64_t state = kStart;
  char buffer[1 << 16];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) state = hash(state, {buffer, static_cast<std::size_t>(in.gcount())});
  if (!in.eof()) throw std::runtime_error(path.string() + ": cannot be read; check the path");
  return hex(state);
}

}  // namespace namm::cli
