#include "trace/writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

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

}  // namespace

Writer::Writer(const std::filesystem::path& path, const Settings& settings)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (file_ < 0 && errno == EEXIST)
    throw std::runtime_error(path.string() + ": exists already; go on with it (--resume) or choose another name");
  if (file_ < 0) fail(path, "create", errno);
  try {
    chunk(static_cast<std::uint32_t>(ChunkKind::settings), bytes_of(to_json(settings).dump()));
    sync();
  } catch (...) {
    ::close(file_);
    ::unlink(path.c_str());
    throw;
  }
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

void Writer::chunk(std::uint32_t kind, std::span<const std::byte> payload) {
  ChunkHeader header;
  std::memcpy(header.magic, kMagic.data(), sizeof header.magic);
  header.kind = kind;
  header.bytes = payload.size();
  header.payload_crc = crc32c(payload);
  header.header_crc = header_crc(header);
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
    chunk(static_cast<std::uint32_t>(ChunkKind::prompt),
          bytes_of(facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    for (const LayerRecord& layer : record.layers) chunk(static_cast<std::uint32_t>(ChunkKind::layer), layer.bytes());
    sync();
  } catch (...) {
    // a full disk: what is there stays a whole trace, and the space is free again
    if (::ftruncate(file_, static_cast<off_t>(before)) == 0 && ::lseek(file_, static_cast<off_t>(before), SEEK_SET) >= 0)
      bytes_ = before;
    throw;
  }
}

}  // namespace namm::trace
