#include "kernels/isa.hpp"

#include <hwy/highway.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace namm::kernels {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> names_of(const std::vector<std::int64_t>& targets) {
  std::vector<std::string> names;
  names.reserve(targets.size() + 1);
  for (const std::int64_t target : targets) names.push_back(lower(hwy::TargetName(target)));
  if (names.empty() || names.back() != "scalar") names.emplace_back("scalar");  // Highway may have one of that name
  return names;
}

std::string choose() {
  const char* const wanted = std::getenv("NAMM_ISA");
  const std::vector<std::string>& names = isa_names();  // before the choice, which hides the others
  if (!wanted || !*wanted) return names.front();
  const auto found = std::find(names.begin(), names.end(), lower(wanted));
  if (found == names.end()) {
    std::string list;
    for (const std::string& name : names) list.append(list.empty() ? "" : ", ").append(name);
    throw std::runtime_error("NAMM_ISA: must be an instruction set of this machine (" + list + "), is \"" + wanted +
                             "\"; unset it for the best");
  }
  if (*found != "scalar")
    hwy::SetSupportedTargetsForTest(hwy::SupportedAndGeneratedTargets()[static_cast<std::size_t>(found - names.begin())]);
  return *found;
}

const std::string& chosen() {
  static const std::string name = choose();
  return name;
}

}  // namespace

std::string isa_name() {
  return chosen();
}

const std::vector<std::string>& isa_names() {
  static const std::vector<std::string> names = names_of(hwy::SupportedAndGeneratedTargets());
  return names;
}

std::string lesser_isa(const std::string& a, const std::string& b) {
  std::vector<std::int64_t> all;  // that this program is compiled for; of lower bits are the better ones
  for (std::int64_t targets = HWY_TARGETS; targets != 0; targets &= targets - 1) all.push_back(targets & -targets);
  const std::vector<std::string> names = names_of(all);
  const auto place = [&](const std::string& name) { return std::find(names.begin(), names.end(), name); };
  const auto worse = std::max(place(a), place(b));
  return worse == names.end() ? "scalar" : *worse;
}

bool isa_is_scalar() {
  static const bool scalar = chosen() == "scalar";
  return scalar;
}

}  // namespace namm::kernels
