#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <system_error>

namespace namm {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what, int error) {
  throw std::runtime_error(path.string() + ": could not be written (" + what + "): " + std::generic_category().message(error) +
                           "; the old content, if any, is unchanged");
}

/// Writes all of it; returns 0 or the system's error.
int write_all(int file, std::span<const std::string_view> pieces) {
  for (std::string_view content : pieces)
    while (!content.empty()) {
      const ssize_t written = ::write(file, content.data(), content.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      content.remove_prefix(static_cast<std::size_t>(written));
    }
  return 0;
}

/// The process's own output, whatever it leads to: a file behind it must neither be replaced nor written from its start.
int own_output(const std::filesystem::path& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  return -1;
}

/// Devices and pipes (/dev/stdout, /dev/null) cannot be replaced, only written to.
void write_in_place(const std::filesystem::path& path, std::span<const std::string_view> pieces) {
  const int own = own_output(path);
  const int file = own >= 0 ? ::dup(own) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(path, "open", errno);
  int error = write_all(file, pieces);
  if (::close(file) != 0 && error == 0) error = errno;
  if (error != 0) fail(path, "write", error);
}

/// A rename is durable once the folder is on disk. Folders that cannot be opened or synced (some network file systems) are no
/// error: the file itself is complete.
void sync_folder(const std::filesystem::path& folder) {
  const int file = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

}  // namespace

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  write_file_atomically(path, std::span(&content, 1));
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces) {
  if (own_output(path) >= 0) return write_in_place(path, pieces);
  std::error_code ignored;
  // a link stays a link: what it points to is replaced
  std::filesystem::path target = path;
  if (std::filesystem::is_symlink(path, ignored)) {
    const std::filesystem::path resolved = std::filesystem::weakly_canonical(path, ignored);
    if (!ignored) target = resolved;
  }
  struct stat old {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) fail(path, "open", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) return write_in_place(path, pieces);

  static std::atomic<unsigned> counter{0};
  std::filesystem::path temporary;
  int file = -1;
  do {  // a process of this number may have died and left its own
    temporary = target;
    temporary += ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file < 0 && errno == EEXIST);
  if (file < 0) fail(path, "create " + temporary.filename().string(), errno);
  const char* step = "write";
  int error = write_all(file, pieces);
  if (error == 0 && exists && ::fchmod(file, old.st_mode & 07777) != 0) step = "set permissions", error = errno;
  if (error == 0 && ::fsync(file) != 0) step = "sync", error = errno;
  if (::close(file) != 0 && error == 0) step = "close", error = errno;
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) step = "rename", error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    fail(path, step, error);
  }
  sync_folder(target.parent_path());
}

}  // namespace namm
