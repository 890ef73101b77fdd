#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace namm::preload {

/// A saved session on disk: the caller's tokens and a state (saved_state.hpp). "NAMMSES2", u32
/// checksum of what follows (CRC-32C), u64 n, [n] i32 tokens, state.
struct SessionFile {
  std::vector<std::int32_t> tokens;
  std::vector<std::byte> state;
};

/// Bytes of the file with such a state.
std::size_t session_bytes(std::size_t tokens, std::size_t state_bytes);
/// Writes the file as a whole or not at all. Throws std::runtime_error.
void write_session(const std::string& path, const SessionFile& session);
/// Throws std::runtime_error if the file cannot be read or was not written by write_session().
SessionFile read_session(const std::string& path);

}  // namespace namm::preload
