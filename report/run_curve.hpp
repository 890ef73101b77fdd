#pragma once
#include <filesystem>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "evolve/checkpoint.hpp"
#include "report/table.hpp"

namespace namm::report {

/// The checkpoint of a run folder, with what the run found out after its last generation (log.jsonl). Throws std::runtime_error
/// in one line.
evolve::Checkpoint load_run(const std::filesystem::path& folder);

/// One generation of a run; NaN where it says nothing.
struct RunPoint {
  double generation, best, mean, spread, step_size, validation_mean, validation_candidate, kept;
};
std::vector<RunPoint> run_points(const evolve::Checkpoint& checkpoint);

/// One character per value, from the lowest to the highest: "▁▃▅█". At most `width` characters, each the mean of its share; a
/// blank where no value is finite.
std::string sparkline(std::span<const double> values, std::size_t width);

/// What a run of evolution was, its curve and a table of generations.
void print_run(std::ostream& out, const std::string& name, const evolve::Checkpoint& checkpoint, TableFormat format);

}  // namespace namm::report
