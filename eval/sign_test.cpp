#include "eval/sign_test.hpp"

#include <boost/random/mersenne_twister.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

namespace namm::eval {
namespace {

constexpr std::size_t kMostExact = 16;
constexpr int kDraws = 10'000;

/// Sum with the signs that the bits say.
double sum_of(std::span<const double> changes, std::uint64_t bits) {
  double sum = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) sum += (bits >> i & 1) != 0 ? changes[i] : -changes[i];
  return sum;
}

}  // namespace

double sign_test_p_value(std::span<const double> changes) {
  std::vector<double> sizes;
  double seen = 0;
  for (const double change : changes) {
    if (change == 0) continue;
    sizes.push_back(std::abs(change));
    seen += change;
  }
  if (sizes.empty()) return 1;
  double all = 0;
  for (const double size : sizes) all += size;
  const double bound = std::abs(seen) - 1e-9 * all;  // the same sum in another order counts
  if (sizes.size() <= kMostExact) {
    const std::uint64_t count = std::uint64_t{1} << sizes.size();
    std::uint64_t as_far = 0;
    for (std::uint64_t bits = 0; bits < count; ++bits) as_far += std::abs(sum_of(sizes, bits)) >= bound ? 1 : 0;
    return static_cast<double>(as_far) / static_cast<double>(count);
  }
  boost::random::mt19937_64 rng(20241013);
  int as_far = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    double sum = 0;
    for (std::size_t begin = 0; begin < sizes.size(); begin += 64)
      sum += sum_of(std::span(sizes).subspan(begin, std::min<std::size_t>(64, sizes.size() - begin)), rng());
    as_far += std::abs(sum) >= bound ? 1 : 0;
  }
  return (as_far + 1.0) / (kDraws + 1.0);
}

}  // namespace namm::eval
