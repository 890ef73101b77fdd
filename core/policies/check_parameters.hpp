#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace namm::detail {

/// Throws std::invalid_argument, naming the policy, if there are not `expected` parameters or one is not finite.
void check_parameters(std::string_view policy, std::span<const float> parameters, std::size_t expected);

}  // namespace namm::detail
