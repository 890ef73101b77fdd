#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

namespace namm {

/// A file of JSON lines that is written while a command works: each line is on its way to the disk, whole, when append() returns.
/// What the file held before stands until the first line comes. /dev/stdout and /dev/stderr are the process's own, wherever they
/// lead to. A file is one command's at a time.
class JsonLines {
 public:
  enum class Start {
    afresh,    ///< the first line replaces what was there
    continued  ///< lines are added, unless they stand there already; a last line that was cut off is removed first
  };
  /// Opens the file at once. `option` names it in messages. Throws std::runtime_error if it cannot be written, or is being
  /// written by another. An empty path: append() does nothing.
  JsonLines(std::string option, const std::filesystem::path& path, Start start);
  ~JsonLines();
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  explicit operator bool() const { return file_ >= 0; }
  /// Throws std::runtime_error if the disk refuses; the lines before this one are then in the file.
  void append(const nlohmann::json& line);

 private:
  [[noreturn]] void fail(const std::string& what) const;
  void write(const std::string& text);
  void replace(const std::string& text);
  void continue_behind_whole_lines();

  std::string option_;
  std::filesystem::path path_;
  int file_ = -1;
  bool made_ = false;              // by us, and still empty
  bool replacing_ = false;         // the old content still stands
  std::set<std::uint64_t> there_;  // fingerprints of the lines before
};

/// For a file that is written behind long work: throws now what a JsonLines would. Leaves no file that was not there; pipes and
/// devices are not touched.
void require_writable(const std::string& option, const std::filesystem::path& path);

}  // namespace namm
