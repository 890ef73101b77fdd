#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
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
  std::vector<std::string> shown = probable_names(name, names);
  const bool meant = !shown.empty();
  if (!meant) shown.assign(names.begin(), names.end());  // nothing like it: all there are
  std::string listed;
  for (const std::string& one : shown) listed += (listed.empty() ? "" : ", ") + one;
  throw std::invalid_argument(std::string(what)
                                  .append(": must be a registered name, is '")
                                  .append(name.substr(0, 40))
                                  .append(meant ? "'; nearest: " : "'; there are ")
                                  .append(listed));
}

/// Registers an entry that has a name and a function `make`. `reserved` is a name that stands for something else. Throws
/// std::invalid_argument if the name is taken or cannot be one.
template <class Entries, class Entry>
void add_entry(std::string_view what, Entries& entries, Entry entry, std::string_view reserved) {
  const std::string subject = std::string(what) + " '" + entry.name.substr(0, 64) + "'";
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (entry.name.empty() || entry.name.size() > 64 || entry.name.front() == '-' ||
      !std::all_of(entry.name.begin(), entry.name.end(), fits))
    throw std::invalid_argument(
        subject +
        ": a name must have 1 to 64 lower-case letters, digits and hyphens, and must not begin with a hyphen; choose another");
  const auto same = [&](const auto& other) { return other.name == entry.name; };
  if (entry.name == reserved || std::any_of(entries.begin(), entries.end(), same))
    throw std::invalid_argument(subject + ": is registered already; choose another name");
  if (!entry.make) throw std::invalid_argument(subject + ": must have a function that makes it, has none");
  entries.push_back(std::move(entry));
}

}  // namespace namm
