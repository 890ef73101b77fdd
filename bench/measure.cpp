#include "bench/measure.hpp"

#include <algorithm>
#include <ctime>

namespace namm::bench {
namespace {

double seconds_of(const BenchVariant& variant, BenchClock clock) {
  if (variant.prepare) variant.prepare();
  const double start = now(clock);
  variant.run();
  return now(clock) - start;
}

}  // namespace

double now(BenchClock clock) {
  timespec time{};
  clock_gettime(clock == BenchClock::wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<BenchTiming> measure(const BenchCase& work, int repetitions, BenchClock clock) {
  std::vector<std::vector<double>> seconds(work.variants.size());
  for (const BenchVariant& variant : work.variants) seconds_of(variant, clock);
  for (int r = 0; r < repetitions; ++r)
    for (std::size_t v = 0; v < work.variants.size(); ++v) seconds[v].push_back(seconds_of(work.variants[v], clock));
  std::vector<BenchTiming> out;
  for (const std::vector<double>& one : seconds) {
    std::vector<double> ratios;
    for (std::size_t r = 0; r < one.size(); ++r) ratios.push_back(one[r] / seconds.front()[r]);
    out.push_back({*std::min_element(one.begin(), one.end()), median(one), median(ratios)});
  }
  return out;
}

}  // namespace namm::bench
