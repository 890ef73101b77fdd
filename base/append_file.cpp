#include "base/append_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace namm {

int append_whole(int file, std::string_view text) {
  const off_t before = ::lseek(file, 0, SEEK_END);
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      if (before >= 0) (void)!::ftruncate(file, before);
      return error;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int append_whole(const std::filesystem::path& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (file < 0) return errno;
  const int error = append_whole(file, text);
  return ::close(file) != 0 && error == 0 ? errno : error;
}

}  // namespace namm
