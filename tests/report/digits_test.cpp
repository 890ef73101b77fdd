#include "report/digits.hpp"

#include <limits>

#include "tests/check.hpp"

using namespace namm::report;

namespace {
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kFree = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("a value has the digits that its interval supports") {
  const auto text = [](double value, double low, double high, bool sign = false) {
    const double interval[2] = {low, high};
    return format_estimate(value, interval, sign);
  };
  CHECK(text(0.8042, 0.62, 0.98) == "0.80");       // half-width 0.18: two digits of it
  CHECK(text(0.8042, 0.76, 0.86) == "0.80");       // 0.05: one
  CHECK(text(0.8042, 0.30, 1.00) == "0.80");       // 0.35
  CHECK(text(0.8042, 0.00, 1.00) == "0.8");        // 0.5
  CHECK(text(0.8042, 0.7922, 0.8162) == "0.804");  // 0.012
  CHECK(text(-2.217, -3.7, -0.7, true) == "-2.2");
  CHECK(text(0.0004, -0.1, 0.1, true) == "0.00");  // no zero has a sign
  CHECK(text(-0.0004, -0.1, 0.1, true) == "0.00");
  CHECK(text(0.25, kNan, kNan) == "0.25");
  CHECK(text(0.25, 0.25, 0.25) == "0.25");
  CHECK(text(kNan, 0, 1) == "-");
}

TEST_CASE("no score is shown below 0 or above 1") {
  const double below[2] = {-0.06, 0.26}, above[2] = {0.91, 1.03}, unknown[2] = {kNan, 1};
  CHECK(format_interval(below, false, 0, 1) == "0.00..0.26");
  CHECK(format_interval(above, false, 0, 1) == "0.91..1.00");
  CHECK(format_interval(below, true, -kFree, kFree) == "-0.06..+0.26");
  CHECK(format_interval(unknown, false, 0, 1) == "-");
}

TEST_CASE("shares and rates are short") {
  const double narrow[2] = {0.936, 0.944}, wide[2] = {0.8, 1.0};
  CHECK(format_percent(0.94) == "94 %");
  CHECK(format_percent(0.9432, narrow) == "94.3 %");
  CHECK(format_percent(0.9432, wide) == "94 %");
  CHECK(format_percent(-0.04) == "-4 %");
  CHECK(format_percent(kNan) == "-");
  CHECK(format_rate(458.31) == "458");
  CHECK(format_rate(48.06) == "48.1");
  CHECK(format_rate(7.4249) == "7.42");
  CHECK(format_rate(kNan) == "-");
}
