#include "namm/policy.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "core/policies/check_parameters.hpp"

namespace namm {

void Policy::set_parameters(std::span<const float> parameters) {
  if (parameters.empty()) return;
  throw std::invalid_argument("policy " + std::string(name()) + ": has no parameters, got " + std::to_string(parameters.size()));
}

void detail::check_parameters(std::string_view policy, std::span<const float> parameters, std::size_t expected) {
  const std::string subject = std::string("policy ").append(policy);
  if (parameters.size() != expected)
    throw std::invalid_argument(subject + ": must get " + std::to_string(expected) + " parameters, got " +
                                std::to_string(parameters.size()));
  if (!std::all_of(parameters.begin(), parameters.end(), [](float value) { return std::isfinite(value); }))
    throw std::invalid_argument(subject + ": parameters must be finite, found NaN or infinity");
}

}  // namespace namm
