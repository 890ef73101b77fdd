#include "trace/writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "base/atomic_file.hpp"
#include "trace/chunk.hpp"

namespace namm::trace {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* step, int error) {
  std::string message = path.string();
  message.append(": could not be written (").append(step).append("): ").append(std::generic_category().message(error));
  throw std::runtime_error(message);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

ChunkHeader header_of(ChunkKind kind, std::span<const std::byte> payload) {
  ChunkHeader header;
  std::memcpy(header.magic, kMagic.data(), sizeof header.magic);
  header.kind = static_cast<std::uint32_t>(kind);
  header.bytes = payload.size();
  header.payload_crc = crc32c(payload);
  header.header_crc = header_crc(header);
  return header;
}

/// What a trace begins with.
std::string settings_chunk(const Settings& settings) {
  const std::string text = to_json(settings).dump();
  const ChunkHeader header = header_of(ChunkKind::settings, bytes_of(text));
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out.append(text).append(padding(text.size()), '\0');
}

}  // namespace

/// Whole from the start, so that whoever is killed here can go on with it or begin it again.
Writer::Writer(const std::filesystem::path& path, const Settings& settings) : path_(path) {
  const std::string begin = settings_chunk(settings);
  if (!create_file_atomically(path, begin))
    throw std::runtime_error(path.string() + ": exists already; go on with it (--resume) or choose another name");
  file_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) fail(path, "open", errno);
  bytes_ = begin.size();
}

Writer::Writer(const std::filesystem::path& path, std::uint64_t bytes)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CLOEXEC)), bytes_(bytes) {
  if (file_ < 0) fail(path, "open", errno);
  if (::ftruncate(file_, static_cast<off_t>(bytes)) == 0 && ::lseek(file_, static_cast<off_t>(bytes), SEEK_SET) >= 0) return;
  const int error = errno;
  ::close(file_);
  fail(path, "cut", error);
}

Writer::~Writer() {
  ::close(file_);
}

void Writer::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    bytes_ += static_cast<std::uint64_t>(written);
  }
}

void Writer::sync() {
  if (::fsync(file_) != 0) fail(path_, "sync", errno);
}

void Writer::chunk(ChunkKind kind, std::span<const std::byte> payload) {
  const ChunkHeader header = header_of(kind, payload);
  write(std::as_bytes(std::span(&header, 1)));
  write(payload);
  const std::byte zeros[kChunkAlignment] = {};
  write(std::span(zeros).first(padding(payload.size())));
}

void Writer::append(const PromptRecord& record) {
  const std::uint64_t before = bytes_;
  try {
    const nlohmann::json facts = {{"id", record.facts.id},       {"task", record.facts.task},
                                  {"split", record.facts.split}, {"compressed", record.facts.compressed},
                                  {"tail", record.facts.tail},   {"answer_tokens", record.facts.answer_tokens}};
    chunk(ChunkKind::prompt, bytes_of(facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    for (const LayerRecord& layer : record.layers) chunk(ChunkKind::layer, layer.bytes());
    sync();
  } catch (...) {
    // a full disk: what is there stays a whole trace, and the space is free again
    if (::ftruncate(file_, static_cast<off_t>(before)) == 0 && ::lseek(file_, static_cast<off_t>(before), SEEK_SET) >= 0)
      bytes_ = before;
    throw;
  }
}

}  // namespace namm::trace
