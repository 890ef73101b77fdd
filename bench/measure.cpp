#include "bench/measure.hpp"

#include <algorithm>
#include <ctime>
#include <stdexcept>

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

std::optional<BenchRatio> paired_ratio(std::span<const double> values, std::span<const double> base) {
  if (values.size() != base.size())
    throw std::invalid_argument("ratio: must be of as many repetitions on both sides, is of " + std::to_string(values.size()) +
                                " and " + std::to_string(base.size()) + "; measure them in turn");
  if (values.size() < static_cast<std::size_t>(kLeastForRatio)) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t r = 0; r < values.size(); ++r) ratios.push_back(values[r] / base[r]);
  const auto [lowest, highest] = std::minmax_element(ratios.begin(), ratios.end());
  return BenchRatio{median(ratios), *lowest, *highest};
}

std::vector<BenchTiming> timings_of(const std::vector<std::vector<double>>& seconds) {
  std::vector<BenchTiming> out;
  for (const std::vector<double>& one : seconds)
    out.push_back({*std::min_element(one.begin(), one.end()), median(one), paired_ratio(one, seconds.front())});
  return out;
}

std::vector<BenchTiming> measure(const BenchCase& work, int repetitions, BenchClock clock) {
  std::vector<std::vector<double>> seconds(work.variants.size());
  for (const BenchVariant& variant : work.variants) seconds_of(variant, clock);
  for (int r = 0; r < repetitions; ++r)
    for (std::size_t v = 0; v < work.variants.size(); ++v) seconds[v].push_back(seconds_of(work.variants[v], clock));
  return timings_of(seconds);
}

}  // namespace namm::bench
