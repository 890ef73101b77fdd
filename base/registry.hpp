#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest_names.hpp"

namespace namm {

/// The entry of this name in a container of entries that have one. Throws std::invalid_argument that names the nearest ones if
/// there is none; `what` is what the names are of, e.g. "policy".
template <class Entries>
const auto& find_entry(std::string_view what, std::string_view name, const Entries& entries) {
  std::vector<std::string_view> names;
  for (const auto& entry : entries) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  std::string nearest;
  for (const std::string& one : nearest_names(name, names)) nearest += (nearest.empty() ? "" : ", ") + one;
  throw std::invalid_argument(std::string(what)
                                  .append(": must be a registered name, is '")
                                  .append(name.substr(0, 40))
                                  .append("'; nearest: ")
                                  .append(nearest));
}

}  // namespace namm
