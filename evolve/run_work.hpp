#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "evolve/loop.hpp"

namespace namm::evolve {

/// How much of a run is done. Work is counted in units (one prompt under one memory), as far as they can be told beforehand: what
/// ends a run early, and full-cache values that are remembered, make it less.
class RunWork {
 public:
  /// What is left of the run behind generation `done`; -1: normalisation and validation of the start, too.
  RunWork(const RunSettings& settings, int population, std::int64_t done);
  /// The share of that work, 0 to 1, if `of_all` (0 to 1) of a stage is done in the generation under way: "normalisation",
  /// "training" or "validation" behind generation `done`.
  double share(std::string_view stage, std::int64_t done, double of_all) const;

 private:
  double validations(std::int64_t first, std::int64_t last) const;  ///< in generations first + 1 to last

  std::int64_t begin_, generations_, every_;
  double normalisation_, start_, training_, validation_, end_, all_;
};

/// The generation behind which the next validation is, of a run that has `generation` behind it: every validate_every, and the
/// last.
std::int64_t next_validation(const RunSettings& settings, std::int64_t generation);

}  // namespace namm::evolve
