#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest_names.hpp"

namespace namm {

/// Message for a name that a registry does not hold; names the nearest ones.
template <class Entry>
std::string unknown_name(std::string_view what, std::string_view typed, std::span<const Entry> registry) {
  std::vector<std::string_view> names;
  for (const Entry& entry : registry) names.push_back(entry.name);
  std::string message(what);
  message += ": must be a registered name, is '" + std::string(typed.substr(0, 40)) + "'; nearest: ";
  const std::vector<std::string> nearest = nearest_names(typed, names);
  for (std::size_t i = 0; i < nearest.size(); ++i) message += (i == 0 ? "" : ", ") + nearest[i];
  return message;
}

}  // namespace namm
