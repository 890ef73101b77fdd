#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace namm {

/// How far a command is, with the time left: one total for all of its work, and a clock that starts with the meter. On a terminal
/// a bar that is drawn over itself; elsewhere a plain line every few seconds, less often in long work.
class ProgressMeter {
 public:
  enum class Form { none, bar, lines };
  /// `seconds`: a clock. `write` is given what is to be written, line ends and control characters included.
  ProgressMeter(Form form, std::function<double()> seconds, std::function<void(std::string_view)> write);
  ~ProgressMeter() { clear(); }
  ProgressMeter(const ProgressMeter&) = delete;
  ProgressMeter& operator=(const ProgressMeter&) = delete;

  /// `done` of `all` pieces of the whole work.
  void show(const std::string& label, std::size_t done, std::size_t all);
  /// The same where pieces are of different size: `share` of the work, 0 to 1, is done.
  void show(const std::string& label, std::size_t done, std::size_t all, double share);
  /// Erases the bar, so that lines can be printed.
  void clear();
  /// "1:20 left", as the share of the last show() says; "? left" before anything is done.
  std::string time_left() const;

 private:
  Form form_;
  std::function<double()> seconds_;
  std::function<void(std::string_view)> write_;
  bool shown_ = false;
  double start_, last_, share_ = 0;
};

}  // namespace namm
