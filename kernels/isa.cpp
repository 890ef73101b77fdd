#include "kernels/isa.hpp"

#include <hwy/highway.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace namm::kernels {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string choose() {
  const char* const wanted = std::getenv("NAMM_ISA");
  const auto available = hwy::SupportedAndGeneratedTargets();
  if (!wanted || !*wanted) return lower(hwy::TargetName(available.front()));
  if (lower(wanted) == "scalar") return "scalar";
  std::string names = "scalar";
  for (const auto target : available) {
    std::string name = lower(hwy::TargetName(target));
    if (name == lower(wanted)) {
      hwy::SetSupportedTargetsForTest(target);
      return name;
    }
    names += ", " + name;
  }
  throw std::runtime_error("NAMM_ISA: must be an instruction set of this machine (" + names + "), is \"" + wanted +
                           "\"; unset it for the best");
}

const std::string& chosen() {
  static const std::string name = choose();
  return name;
}

}  // namespace

std::string isa_name() {
  return chosen();
}

bool isa_is_scalar() {
  static const bool scalar = chosen() == "scalar";
  return scalar;
}

}  // namespace namm::kernels
