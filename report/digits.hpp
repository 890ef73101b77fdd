#pragma once
#include <string>

namespace namm::report {

/// Decimals that an interval supports: two digits of its half-width if that begins with 1, 2 or 3, else one; 1 to 4. 2 if there
/// is no interval, or one without width.
int supported_decimals(double low, double high);

/// "0.80" with the digits that the interval supports; "-" if the value is not finite. `sign`: "+0.02".
std::string format_estimate(double value, const double (&interval)[2], bool sign = false);
/// "0.62..0.98" with the same digits; ends beyond what the value can be are cut there. "-" if there is none.
std::string format_interval(const double (&interval)[2], bool sign, double lowest, double highest);
/// "94 %" of a share, with a decimal where its interval supports one.
std::string format_percent(double share, const double (&interval)[2]);
std::string format_percent(double share);
/// Three digits: "458", "48.1", "7.42"; more before the point are kept.
std::string format_rate(double rate);

}  // namespace namm::report
