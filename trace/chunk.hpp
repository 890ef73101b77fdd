#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/crc32c.hpp"

namespace namm::trace {

static_assert(std::endian::native == std::endian::little, "traces are read and written as they lie in memory");

/// A trace is a row of chunks, each a header and a payload padded with zeros to a multiple of 32 bytes, little-endian:
///
///     settings (JSON) | prompt (JSON) layer layer ... | prompt layer layer ... | ...
///
/// A prompt counts when all of its layers are there: a file that ends in the middle of one is a valid shorter trace.
inline constexpr std::string_view kMagic = "NAMMTRC1";

enum class ChunkKind : std::uint32_t { settings = 1, prompt = 2, layer = 3 };

struct ChunkHeader {
  char magic[8];
  std::uint32_t kind = 0;
  std::uint32_t payload_crc = 0;
  std::uint64_t bytes = 0;  ///< of the payload, without padding
  std::uint32_t zero = 0;
  std::uint32_t header_crc = 0;  ///< of the 28 bytes before
};
static_assert(sizeof(ChunkHeader) == 32);
inline constexpr std::size_t kChunkAlignment = 32;

inline std::uint32_t header_crc(const ChunkHeader& header) {
  return crc32c(std::span(reinterpret_cast<const std::byte*>(&header), offsetof(ChunkHeader, header_crc)));
}

/// Bytes of padding behind a payload.
inline std::size_t padding(std::uint64_t bytes) {
  return static_cast<std::size_t>((kChunkAlignment - bytes % kChunkAlignment) % kChunkAlignment);
}

}  // namespace namm::trace
