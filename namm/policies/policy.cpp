#include "namm/policies/policy.hpp"

#include <stdexcept>

namespace namm {

void Policy::set_parameters(std::span<const float> parameters) {
  if (parameters.empty()) return;
  throw std::invalid_argument("policy " + std::string(name()) + ": has no parameters, got " + std::to_string(parameters.size()));
}

}  // namespace namm
