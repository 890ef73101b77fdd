#pragma once
#include <filesystem>

#include "trace/chunk.hpp"
#include "trace/record.hpp"

namespace namm::trace {

/// Appends prompts to a trace. A prompt is on disk when append() returns; killed at any instant, the file is a valid trace of the
/// prompts before.
class Writer {
 public:
  /// A new file. Throws std::runtime_error if there is one already, or it cannot be written.
  Writer(const std::filesystem::path& path, const Settings& settings);
  /// Goes on behind the first `bytes` bytes of an old one (Reader::whole_bytes); what is behind them is cut off.
  Writer(const std::filesystem::path& path, std::uint64_t bytes);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void append(const PromptRecord& record);
  std::uint64_t bytes() const { return bytes_; }

 private:
  void chunk(ChunkKind kind, std::span<const std::byte> payload);
  void write(std::span<const std::byte> bytes);
  void sync();

  std::filesystem::path path_;
  int file_ = -1;
  std::uint64_t bytes_ = 0;
};

}  // namespace namm::trace
