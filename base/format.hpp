#pragma once
#include <string>

namespace namm {

/// "3:05", "1:02:09".
std::string format_seconds(double seconds);
/// "12.3 MiB".
std::string format_bytes(double bytes);

/// A value through a printf format with one %f or %g, short; "-" if it is not finite.
std::string format_number(const char* format, double value);

}  // namespace namm
