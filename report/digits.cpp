#include "report/digits.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/format.hpp"

namespace namm::report {
namespace {

constexpr int kUnknownDecimals = 2;

std::string with_decimals(double value, int decimals, bool sign) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, sign ? "%+.*f" : "%.*f", decimals, value);
  const std::string digits(text);
  if (digits.find_first_of("123456789") != std::string::npos) return digits;
  return digits.front() == '-' || digits.front() == '+' ? digits.substr(1) : digits;  // no zero has a sign
}

}  // namespace

int supported_decimals(double low, double high) {
  const double half = (high - low) / 2;
  if (!std::isfinite(half) || half <= 0) return kUnknownDecimals;
  const int exponent = static_cast<int>(std::floor(std::log10(half)));
  const double lead = half / std::pow(10.0, exponent);
  constexpr double kTwoDigitsBelow = 3.55;  // the rule of the Particle Data Group, without its third case
  return std::clamp(lead < kTwoDigitsBelow ? 1 - exponent : -exponent, 1, 4);
}

std::string format_estimate(double value, const double (&interval)[2], bool sign) {
  return with_decimals(value, supported_decimals(interval[0], interval[1]), sign);
}

std::string format_interval(const double (&interval)[2], bool sign, double lowest, double highest) {
  if (!std::isfinite(interval[0]) || !std::isfinite(interval[1])) return "-";
  const int decimals = supported_decimals(interval[0], interval[1]);
  const double low = std::clamp(interval[0], lowest, highest), high = std::clamp(interval[1], lowest, highest);
  return with_decimals(low, decimals, sign) + ".." + with_decimals(high, decimals, sign);
}

std::string format_percent(double share, const double (&interval)[2]) {
  if (!std::isfinite(share)) return "-";
  const bool known = std::isfinite(interval[0]) && std::isfinite(interval[1]);
  const int decimals = known ? std::clamp(supported_decimals(interval[0], interval[1]) - 2, 0, 1) : 0;
  return with_decimals(100 * share, decimals, false) + " %";
}

std::string format_percent(double share) {
  constexpr double kUnknown[2] = {NAN, NAN};
  return format_percent(share, kUnknown);
}

std::string format_rate(double rate) {
  if (!std::isfinite(rate)) return "-";
  return with_decimals(rate, rate < 9.995 ? 2 : rate < 99.95 ? 1 : 0, false);
}

}  // namespace namm::report
