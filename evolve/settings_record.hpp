#pragma once
#include "evolve/loop.hpp"

namespace namm::evolve {

/// What decides the result of a run, as JSON: stored in the checkpoint and compared on resuming. `population` is the number that
/// the strategy really uses. Not in it: the number of generations, the folder, provenance.
nlohmann::json describe_settings(const RunSettings& settings, int population, const HostDescription& host);

/// As it reads back from a file: text that is not UTF-8 (a file name may be anything) has replacement characters.
nlohmann::json storable(const nlohmann::json& json);

}  // namespace namm::evolve
