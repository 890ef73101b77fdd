#pragma once
#include <cstddef>
#include <string>

#include "calibrate/plan.hpp"

namespace namm::calibrate {

/// Adds `count` made-up texts (make_text) of `settings.seed`, each long enough for the longest of `settings.lengths`.
void add_made_up(std::size_t count, Settings& settings);

/// Adds a text of somebody's own: a long one gives a source per length that it has room for, 60 at most, evenly spread where
/// there are more.
void add_text(const std::string& text, const Host& host, Settings& settings);

}  // namespace namm::calibrate
