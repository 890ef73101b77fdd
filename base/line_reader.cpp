#include "base/line_reader.hpp"

#include <stdexcept>

#include "base/named_pipe.hpp"

namespace namm {

LineReader::LineReader(std::filesystem::path file, std::size_t longest_line)
    : file_(std::move(file)), longest_line_(longest_line) {
  std::error_code error;
  if (std::filesystem::is_directory(file_, error)) throw std::runtime_error(file_.string() + ": is a folder; give a file");
  if (!std::filesystem::exists(file_, error)) throw std::runtime_error(file_.string() + ": does not exist");
  if (is_named_pipe(file_)) throw std::runtime_error(file_.string() + ": must be a file, is a FIFO; give a file");
  stream_.open(file_, std::ios::binary);
  if (!stream_) throw std::runtime_error(file_.string() + ": cannot be opened for reading");
  refill();
  if (buffer_.starts_with("\xEF\xBB\xBF")) position_ = 3;
}

bool LineReader::refill() {
  buffer_.resize(1 << 16);
  position_ = 0;
  stream_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
  buffer_.resize(static_cast<std::size_t>(stream_.gcount()));
  if (stream_.bad()) throw std::runtime_error(file_.string() + ": cannot be read");
  return !buffer_.empty();
}

bool LineReader::next(std::string& line) {
  line.clear();
  if (position_ == buffer_.size() && !refill()) return false;
  ++line_number_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', position_);
    const std::size_t stop = end == std::string::npos ? buffer_.size() : end;
    line.append(buffer_, position_, stop - position_);
    if (line.size() > longest_line_)
      throw std::runtime_error(where() + "a line may have at most " + std::to_string(longest_line_) + " bytes; split the record");
    position_ = end == std::string::npos ? stop : stop + 1;
    if (end != std::string::npos || !refill()) break;
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

char LineReader::peek() {
  for (std::size_t i = position_; i < buffer_.size() && i < position_ + 4096; ++i)
    if (std::string_view(" \t\r\n").find(buffer_[i]) == std::string_view::npos) return buffer_[i];
  return 0;
}

std::string LineReader::where() const {
  return file_.string() + ":" + std::to_string(line_number_) + ": ";
}

}  // namespace namm
