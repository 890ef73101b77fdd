#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace namm {

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as iSCSI (RFC 3720) and storage formats use it. Finds every error burst
/// of at most 32 bits; no protection against intent.
std::uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace namm
