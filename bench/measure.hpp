#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace namm::bench {

/// One way to do a piece of work.
struct BenchVariant {
  std::string name;
  std::function<void()> run;
  double bytes = 0;               ///< that have to be read or written, whatever the implementation
  double flops = 0;               ///< that have to be computed; a fused multiply-add counts as two
  std::function<void()> prepare;  ///< before every run, not timed; may be empty
};

/// The same piece of work done in several ways; the first is what the others are compared with.
struct BenchCase {
  std::string kernel;  ///< name on the command line
  std::string shape;   ///< sizes, in words
  std::vector<BenchVariant> variants;
};

/// `processor`: time of all threads of this process, for machines that have other things to do; meaningful with one thread, since
/// waiting threads count too.
enum class BenchClock { wall, processor };
/// Seconds since some moment.
double now(BenchClock clock);

/// Repetitions below which there is no ratio: one that was disturbed would decide it.
inline constexpr int kLeastForRatio = 5;

/// Of figures taken in the same repetition: each / the one it is compared with.
struct BenchRatio {
  double median = 1;
  double lowest = 1, highest = 1;  ///< of any repetition
};

/// `values[r]` / `base[r]` over the repetitions r; nothing where these are fewer than kLeastForRatio. Throws
/// std::invalid_argument if the two have not as many.
std::optional<BenchRatio> paired_ratio(std::span<const double> values, std::span<const double> base);

/// Seconds of one variant.
struct BenchTiming {
  double minimum = 0, median = 0;
  std::optional<BenchRatio> ratio;  ///< to the first variant
};

/// `seconds[variant][repetition]`, at least one variant and one repetition.
std::vector<BenchTiming> timings_of(const std::vector<std::vector<double>>& seconds);

/// Runs every variant once for warm-up, then all of them `repetitions` times in turn, so that what else the machine does hits all
/// alike. One timing per variant.
std::vector<BenchTiming> measure(const BenchCase& work, int repetitions, BenchClock clock);

double median(std::vector<double> values);

/// What the machine can do at most, measured.
struct BenchPeaks {
  double flops_per_second = 0, bytes_per_second = 0;
};

}  // namespace namm::bench
