#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace namm::cli {

/// A progress bar with rate and time left on stderr, if stderr is a terminal; otherwise nothing. Erased when it ends, so that
/// lines printed in between stay readable: call clear() before printing.
class ProgressBar {
 public:
  explicit ProgressBar(bool enabled);
  ~ProgressBar() { clear(); }
  void show(const std::string& label, std::size_t done, std::size_t total);
  void clear();

 private:
  bool enabled_;
  bool shown_ = false;
  std::string label_;
  std::size_t total_ = 0;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace namm::cli
