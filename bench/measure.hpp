#pragma once
#include <functional>
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

/// Seconds of one variant.
struct BenchTiming {
  double minimum = 0, median = 0;
  double ratio = 1;  ///< median over the repetitions of: seconds / seconds of the first variant in the same repetition
};

/// Runs every variant once for warm-up, then all of them `repetitions` times in turn, so that what else the machine does hits all
/// alike. One timing per variant.
std::vector<BenchTiming> measure(const BenchCase& work, int repetitions, BenchClock clock);

double median(std::vector<double> values);

/// What the machine can do at most, measured.
struct BenchPeaks {
  double flops_per_second = 0, bytes_per_second = 0;
};

}  // namespace namm::bench
