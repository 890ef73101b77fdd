#pragma once
#include <span>

#include <nlohmann/json.hpp>

#include "base/json_fields.hpp"
#include "evolve/loop.hpp"

namespace namm::evolve {

/// Index of the highest value; the first of equals; NaN never wins unless there is nothing else. `values` must not be empty.
std::size_t best_of(std::span<const double> values);

/// Values that are finite.
std::size_t finite_count(std::span<const double> values);

/// Best, mean and standard deviation of a generation's fitness, over the values that are finite; NaN if none is.
GenerationRecord summarise(std::span<const double> values);

/// The deterministic part of a record: everything but the seconds.
nlohmann::json to_log_line(const GenerationRecord& record);

/// The rest: wall clock, by whom the units were measured, how long each, or each group measured together, took
/// (milliseconds, longest first), bytes between ranks.
nlohmann::json to_timing_line(const GenerationRecord& record, const UnitPool& units);

}  // namespace namm::evolve
