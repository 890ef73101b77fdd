#include "base/json_lines.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <stdexcept>
#include <system_error>

#include "base/append_file.hpp"
#include "base/atomic_file.hpp"
#include "base/fnv1a.hpp"
#include "base/named_pipe.hpp"

namespace namm {

JsonLines::JsonLines(std::string option, const std::filesystem::path& path, Start start)
    : option_(std::move(option)), path_(path) {
  if (path.empty()) return;
  if (path == "/dev/stdout" || path == "/dev/stderr") {
    file_ = ::dup(path == "/dev/stdout" ? STDOUT_FILENO : STDERR_FILENO);
    if (file_ < 0) fail("opened");
    return;
  }
  if (is_named_pipe(path))  // lines that nobody reads would be gone when the program ends
    throw std::runtime_error(option_ + " " + path.string() +
                             ": must be a file, is a FIFO; give a file, or /dev/stdout and a pipe");
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  made_ = file_ >= 0;
  if (!made_ && errno == EEXIST) file_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (file_ < 0) fail("opened");
  struct stat about {};
  if (::fstat(file_, &about) != 0) fail("looked at");
  if (!S_ISREG(about.st_mode)) return;  // a pipe or device has no old content
  // some file systems know no locks
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(file_);
    throw std::runtime_error(option_ + " " + path_.string() +
                             ": must be written by one command at a time, is being written; wait for it, or choose another file");
  }
  if (start == Start::continued)
    continue_behind_whole_lines();
  else
    replacing_ = !made_;
}

JsonLines::~JsonLines() {
  if (file_ < 0) return;
  ::close(file_);
  if (made_) ::unlink(path_.c_str());  // nothing came: no empty file is left behind
}

void JsonLines::fail(const std::string& what) const {
  throw std::runtime_error(option_ + " " + path_.string() + ": could not be " + what + " (" +
                           std::generic_category().message(errno) + "); " + (file_ >= 0 ? "the lines before are in it; " : "") +
                           "choose another file");
}

void JsonLines::replace(const std::string& text) {
  write_file_atomically(path_, text);  // a full disk keeps the old content
  const int file = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (file < 0) fail("opened");
  ::flock(file, LOCK_EX | LOCK_NB);
  ::close(file_);
  file_ = file;
  replacing_ = false;
}

void JsonLines::continue_behind_whole_lines() {
  char buffer[1 << 16];
  off_t at = 0, whole = 0;
  std::uint64_t line = kFnvStart;
  for (ssize_t count = 0; (count = ::pread(file_, buffer, sizeof buffer, at)) != 0; at += count) {
    if (count < 0) fail("read");
    for (ssize_t i = 0; i < count; ++i) {
      line = fnv1a({buffer + i, 1}, line);
      if (buffer[i] != '\n') continue;
      there_.insert(line);
      line = kFnvStart;
      whole = at + i + 1;
    }
  }
  if (whole < at && ::ftruncate(file_, whole) != 0) fail("cut at its last whole line");
}

void JsonLines::write(const std::string& text) {
  errno = append_whole(file_, text);
  if (errno != 0) fail("written");
}

void JsonLines::append(const nlohmann::json& line) {
  if (file_ < 0) return;
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (there_.contains(fnv1a(text))) return;
  std::cout.flush();  // the file may be the standard output
  if (replacing_)
    replace(text);
  else
    write(text);
  made_ = false;
}

void require_writable(const std::string& option, const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::file_status about = std::filesystem::status(path, ignored);
  const bool other =
      std::filesystem::exists(about) && !std::filesystem::is_regular_file(about) && !std::filesystem::is_directory(about);
  if (!other || is_named_pipe(path)) JsonLines(option, path, JsonLines::Start::afresh);
}

}  // namespace namm
