#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

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

/// Whether it is the first time in this process: what others left is looked for once.
bool first_time(const std::filesystem::path& target) {
  static std::mutex mutex;
  static std::set<std::string> seen;
  const std::lock_guard lock(mutex);
  return seen.insert(target.string()).second;
}

/// Removes temporary files of `target` that nobody holds any more. Where the file system has no locks, none is removed.
void remove_leftovers(const std::filesystem::path& target) {
  if (!first_time(target)) return;
  std::error_code ignored;
  const std::string prefix = target.filename().string() + ".tmp.";
  const std::filesystem::path folder = target.parent_path();
  std::vector<std::filesystem::path> found;
  for (std::filesystem::directory_iterator entry(folder.empty() ? "." : folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && name.find_first_not_of("0123456789.", prefix.size()) == std::string::npos)
      found.push_back(entry->path());
  }
  for (const std::filesystem::path& leftover : found) {
    const int file = ::open(leftover.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(leftover.c_str());
    ::close(file);
  }
}

/// A new file beside `target`, written, on disk and locked until it has its name; gone unless it got one.
class Temporary {
 public:
  Temporary(const std::filesystem::path& path, const std::filesystem::path& target) : path_(path), target_(target) {
    while (!make()) {
    }
  }
  ~Temporary() {
    if (file_ < 0) return;
    if (!named_) ::unlink(name_.c_str());
    ::close(file_);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  void write(std::span<const std::string_view> pieces, const struct stat* old) {
    if (const int error = write_all(file_, pieces)) fail(path_, "write", error);
    if (old != nullptr && ::fchmod(file_, old->st_mode & 07777) != 0) fail(path_, "set permissions", errno);
    if (::fsync(file_) != 0) fail(path_, "sync", errno);
  }
  void replace_target() {
    if (::rename(name_.c_str(), target_.c_str()) != 0) fail(path_, "rename", errno);
    finish();
  }
  /// False if there is a target.
  bool become_target() {
    if (::renameat2(AT_FDCWD, name_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) != 0) {
      if (errno == EEXIST) return false;
      const bool unknown = errno == EINVAL || errno == ENOSYS;  // to the file system: then the look before has to do
      if (!unknown || ::rename(name_.c_str(), target_.c_str()) != 0) fail(path_, "rename", errno);
    }
    finish();
    return true;
  }

 private:
  /// False if another name has to be tried: a process of this number died and left its own, or somebody who removes leftovers was
  /// faster than our lock.
  bool make() {
    static std::atomic<unsigned> counter{0};
    name_ = target_;
    name_ += ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
    file_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && errno == EEXIST) return false;
    if (file_ < 0) fail(path_, "create " + name_.filename().string(), errno);
    struct stat now {};
    if ((::flock(file_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && ::fstat(file_, &now) == 0 && now.st_nlink > 0)
      return true;
    ::close(file_);
    return false;
  }

  void finish() {
    named_ = true;
    sync_folder(target_.parent_path());
    remove_leftovers(target_);
  }

  const std::filesystem::path& path_;
  const std::filesystem::path& target_;
  std::filesystem::path name_;
  int file_ = -1;
  bool named_ = false;
};

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
  Temporary temporary(path, target);
  temporary.write(pieces, exists ? &old : nullptr);
  temporary.replace_target();
}

bool create_file_atomically(const std::filesystem::path& path, std::string_view content) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return false;
  Temporary temporary(path, path);
  temporary.write(std::span(&content, 1), nullptr);
  return temporary.become_target();
}

}  // namespace namm
