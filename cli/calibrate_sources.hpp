#pragma once
#include <boost/program_options.hpp>

#include "calibrate/run.hpp"

namespace namm::cli {

/// Fills settings.sources: made-up texts or the contexts of --tasks, as many as --texts says, and what --data holds. Throws
/// std::invalid_argument if there is nothing.
void add_sources(const boost::program_options::variables_map& values, const Host& host, calibrate::Settings& settings);

}  // namespace namm::cli
