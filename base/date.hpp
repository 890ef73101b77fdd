#pragma once
#include <string>

namespace namm {

/// "2026-05-31", UTC.
std::string today();

}  // namespace namm
