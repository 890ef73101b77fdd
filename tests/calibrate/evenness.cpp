#include "calibrate/evenness.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/check.hpp"

using namespace namm::calibrate;

namespace {

double evenness_of(const std::vector<float>& attention) {
  Evenness out;
  out.add(attention);
  return out.value();
}

/// `count` numbers, the first `paid` of which share `sum` evenly.
std::vector<float> shared(std::size_t count, std::size_t paid, float sum) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < paid; ++i) out[i] = sum / static_cast<float>(paid);
  return out;
}

}  // namespace

TEST_CASE("Evenness is the share of the tokens that attention is worth") {
  CHECK(evenness_of(shared(200, 200, 1)) == Approx(1));
  CHECK(evenness_of(shared(200, 50, 1)) == Approx(0.25));
  CHECK(evenness_of(shared(200, 1, 1)) == Approx(1 / 200.0));
  CHECK(evenness_of(shared(200, 50, 0.01f)) == Approx(0.25));  // what goes elsewhere does not matter
  // 1/2, 1/4, 1/8, 1/8: an entropy of 1.75 bits
  std::vector<float> halves(64);
  halves[3] = 0.5f, halves[10] = 0.25f, halves[20] = 0.125f, halves[63] = 0.125f;
  CHECK(evenness_of(halves) == Approx(std::exp2(1.75) / 64));
}

TEST_CASE("Queries count by what they pay, and of few tokens not at all") {
  Evenness both;
  both.add(shared(100, 100, 0.6f));
  both.add(shared(100, 10, 0.2f));
  CHECK(both.value() == Approx((0.6 * 1 + 0.2 * 0.1) / 0.8));
  CHECK(both.attended() == Approx(0.8));
  const double before = both.value();
  both.add(shared(Evenness::kFewest - 1, 1, 1));
  both.add(shared(100, 0, 0));
  both.add(std::vector<float>{});
  CHECK(both.value() == before);
  CHECK(evenness_of(shared(Evenness::kFewest - 1, 5, 1)) == 0);
  CHECK(evenness_of(shared(Evenness::kFewest, 16, 1)) == Approx(16.0 / Evenness::kFewest));
  CHECK(Evenness().value() == 0);
}

TEST_CASE("Sums of evenness add up and come back") {
  Evenness first, second;
  first.add(shared(100, 100, 0.6f));
  second.add(shared(100, 10, 0.2f));
  const Evenness back = Evenness::of(first.attended(), first.even());
  CHECK(back.value() == first.value());
  first.add(second);
  CHECK(first.value() == Approx((0.6 * 1 + 0.2 * 0.1) / 0.8));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  for (const auto& [attended, even] : {std::pair{1.0, 1.5}, {1.0, -0.1}, {nan, 0.5}, {1.0, nan}, {infinite, 1.0}})
    CHECK_THROWS_WITH(Evenness::of(attended, even), Contains("evenness: must be of sums"));
}
