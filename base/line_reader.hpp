#pragma once
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

namespace namm {

/// Reads a text file line by line, never holding more than one line. A byte order mark at the start is skipped, a carriage
/// return before the line's end removed.
class LineReader {
 public:
  /// Throws std::runtime_error ("FILE: ...") if the file is a folder or cannot be opened.
  explicit LineReader(std::filesystem::path file, std::size_t longest_line);

  /// False at the end of the file. Throws std::runtime_error ("FILE:LINE: ...") if a line is longer than allowed.
  bool next(std::string& line);
  /// First byte that is not white space, without consuming anything; 0 if there is none in the first 4 KiB.
  char peek();
  /// Number of the line that `next` returned last, from 1.
  std::size_t line_number() const { return line_number_; }
  /// "FILE:LINE: ", for messages.
  std::string where() const;
  const std::filesystem::path& file() const { return file_; }

 private:
  bool refill();

  std::filesystem::path file_;
  std::ifstream stream_;
  std::size_t longest_line_;
  std::size_t line_number_ = 0;
  std::string buffer_;
  std::size_t position_ = 0;
};

}  // namespace namm
