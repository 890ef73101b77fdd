#include "base/json_lines.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <stdexcept>
#include <system_error>

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
  if (start == Start::continued)
    remove_cut_line();
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

void JsonLines::replace() {
  if (::ftruncate(file_, 0) != 0) fail("emptied");
  replacing_ = false;
}

void JsonLines::remove_cut_line() {
  off_t end = ::lseek(file_, 0, SEEK_END);
  for (char byte = 0; end > 0; --end)
    if (::pread(file_, &byte, 1, end - 1) != 1)
      fail("read");
    else if (byte == '\n')
      break;
  if (::ftruncate(file_, end) != 0) fail("cut at its last whole line");
}

void JsonLines::write(const std::string& text) {
  const off_t before = ::lseek(file_, 0, SEEK_END);
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(file_, text.data() + done, text.size() - done);
    if (written >= 0) {
      done += static_cast<std::size_t>(written);
    } else if (errno != EINTR) {
      const int error = errno;
      if (before >= 0) (void)!::ftruncate(file_, before);  // no half line is left
      errno = error;
      fail("written");
    }
  }
}

void JsonLines::append(const nlohmann::json& line) {
  if (file_ < 0) return;
  std::cout.flush();  // the file may be the standard output
  if (replacing_) replace();
  write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
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
