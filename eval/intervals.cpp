#include "eval/intervals.hpp"

#include <algorithm>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace namm::eval {
namespace {

constexpr std::size_t kResamples = 2000;
/// Indices of one resample after the other, the same ones for the same number of values.
class Resampling {
 public:
  explicit Resampling(std::size_t values) : draw_(0, values - 1) {}
  std::size_t next() { return draw_(rng_); }

 private:
  boost::random::mt19937_64 rng_{20241013};
  boost::random::uniform_int_distribution<std::size_t> draw_;
};

/// The middle 95 %.
Interval percentiles(std::vector<double>& values) {
  if (values.empty()) return {kNan, kNan};
  std::sort(values.begin(), values.end());
  const std::size_t tail = values.size() / 40;
  return {values[tail], values[values.size() - 1 - tail]};
}

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return kNan;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Interval bootstrap_ci95(std::span<const double> values) {
  if (values.empty()) return {kNan, kNan};
  Resampling resampling(values.size());
  std::vector<double> means(kResamples);
  for (double& m : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[resampling.next()];
    m = sum / static_cast<double>(values.size());
  }
  return percentiles(means);
}

Interval bootstrap_ratio_ci95(std::span<const double> values, std::span<const double> base) {
  if (values.size() != base.size())
    throw std::invalid_argument("bootstrap: values and base must be pairs, are " + std::to_string(values.size()) + " and " +
                                std::to_string(base.size()));
  if (values.empty()) return {kNan, kNan};
  Resampling resampling(values.size());
  std::vector<double> ratios;
  for (std::size_t k = 0; k < kResamples; ++k) {
    double sum = 0, base_sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t at = resampling.next();
      sum += values[at];
      base_sum += base[at];
    }
    if (base_sum > 0) ratios.push_back(sum / base_sum);
  }
  return percentiles(ratios);
}

}  // namespace namm::eval
