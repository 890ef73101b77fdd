#include "adapters/llama_cpp/model_key.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <stdexcept>

#include "adapters/llama_cpp/gguf_header.hpp"
#include "base/fingerprint.hpp"
#include "base/fnv1a.hpp"

namespace namm::llama {
namespace {

constexpr std::uint64_t kPlaces = 256;
constexpr std::uint64_t kPlaceBytes = 64;

/// Of `count` bytes from `begin` on.
std::uint64_t hash(std::ifstream& in, std::uint64_t begin, std::uint64_t count, std::uint64_t state) {
  std::array<char, 1 << 16> buffer;
  in.seekg(static_cast<std::streamoff>(begin));
  while (count > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uint64_t>(count, buffer.size()));
    if (!in.read(buffer.data(), part)) throw std::runtime_error("cannot be read");
    state = fnv1a({buffer.data(), static_cast<std::size_t>(part)}, state);
    count -= static_cast<std::uint64_t>(part);
  }
  return state;
}

}  // namespace

std::string model_key(const std::filesystem::path& model) {
  const std::uint64_t weights = GgufHeader(model).weights_offset();  // refuses what is no model
  std::error_code failed;
  const std::uint64_t size = std::filesystem::file_size(model, failed);
  std::ifstream in(model, std::ios::binary);
  if (failed || !in || weights > size) throw std::runtime_error("model " + model.string() + ": cannot be read; check the file");
  try {
    std::uint64_t state = hash(in, 0, weights, fnv1a(std::to_string(size)));
    const std::uint64_t rest = size - weights, step = rest / kPlaces;
    if (step <= kPlaceBytes) return hex_digits(hash(in, weights, rest, state));
    for (std::uint64_t i = 0; i < kPlaces; ++i) state = hash(in, weights + i * step, kPlaceBytes, state);
    return hex_digits(hash(in, size - kPlaceBytes, kPlaceBytes, state));
  } catch (const std::runtime_error&) {
    throw std::runtime_error("model " + model.string() + ": cannot be read; check the file");
  }
}

}  // namespace namm::llama
