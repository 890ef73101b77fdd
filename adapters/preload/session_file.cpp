#include "adapters/preload/session_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "base/atomic_file.hpp"
#include "base/bytes.hpp"
#include "base/crc32c.hpp"

namespace namm::preload {
namespace {

constexpr std::string_view kSessionMagic = "NAMMSES2", kSessionMagicBefore = "NAMMSES1";

constexpr std::size_t kChecked = kSessionMagic.size() + sizeof(std::uint32_t);  // covered by the checksum from here on

/// Opened without waiting: among a program's session files there may be a FIFO, which would wait for a writer.
std::vector<std::byte> bytes_of_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const std::unique_ptr<const int, void (*)(const int*)> closing(&file, [](const int* f) { close(*f); });
  struct stat facts;
  if (file < 0 || fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode))
    throw std::runtime_error("session " + path + ": must be a file that can be read, cannot; name another one");
  std::vector<std::byte> out(static_cast<std::size_t>(facts.st_size));
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t count = read(file, out.data() + at, out.size() - at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw std::runtime_error("session " + path + ": must be readable to its end, is not; save it again");
    at += static_cast<std::size_t>(count);
  }
  return out;
}

}  // namespace

std::size_t session_bytes(std::size_t tokens, std::size_t state_bytes) {
  return kChecked + sizeof(std::uint64_t) + tokens * sizeof(std::int32_t) + state_bytes;
}

void write_session(const std::string& path, const SessionFile& session) {
  std::string content(session_bytes(session.tokens.size(), session.state.size()), '\0');
  const auto bytes = std::as_writable_bytes(std::span(content));
  ByteWriter out(bytes);
  out.numbers(std::span<const char>(kSessionMagic));
  out.number<std::uint32_t>(0);
  out.number<std::uint64_t>(session.tokens.size());
  out.numbers(session.tokens);
  out.numbers(session.state);
  ByteWriter(bytes.subspan(kSessionMagic.size())).number<std::uint32_t>(crc32c(bytes.subspan(kChecked)));
  write_file_atomically(path, content);
}

SessionFile read_session(const std::string& path) {
  const std::vector<std::byte> bytes = bytes_of_file(path);
  ByteReader in(bytes);
  const auto magic = bytes.size() < kSessionMagic.size() ? std::vector<char>() : in.numbers<char>(kSessionMagic.size());
  if (std::string_view(magic.data(), magic.size()) == kSessionMagicBefore)
    throw std::runtime_error(
        "session " + path +
        ": must have a checksum, has none: it is of an earlier version; read the text again and save it anew");
  if (std::string_view(magic.data(), magic.size()) != kSessionMagic)
    throw std::runtime_error(
        "session " + path +
        ": must be one that was saved with a policy attached, begins otherwise; run without a policy to load it");
  // also of bytes behind the end
  if (in.number<std::uint32_t>() != crc32c(std::span(bytes).subspan(kChecked)))
    throw std::runtime_error("session " + path + ": must be what was saved, has another checksum; it is damaged, save it again");
  SessionFile out;
  out.tokens = in.numbers<std::int32_t>(in.number<std::uint64_t>());
  const auto rest = in.left() > 0 ? in.take(in.left(), 1) : std::span<const std::byte>();
  out.state.assign(rest.begin(), rest.end());
  return out;
}

}  // namespace namm::preload
