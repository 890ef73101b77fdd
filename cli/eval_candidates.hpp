#pragma once
#include <memory>
#include <string>
#include <vector>

#include "calibrate/hindsight.hpp"
#include "cli/options.hpp"

namespace namm::cli {

/// One row of an evaluation: a policy under a budget, in one mode.
struct Candidate {
  std::string name;    ///< as records have it: a policy's name or its file
  CachePolicy memory;  ///< its policy knows nothing yet if there is hindsight
  std::shared_ptr<const calibrate::Hindsight> hindsight = nullptr;
  nlohmann::json provenance = nlohmann::json::object();  ///< what its file says it was made from

  /// What this prompt is measured under. With hindsight, evaluates it on `host` first.
  CachePolicy memory_of(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const;
};

/// --policy x --mode x --budget; policies that keep everything are left out (`full` is always measured, once). Throws
/// std::invalid_argument if one of the others is named twice.
std::vector<Candidate> candidates_from(const po::variables_map& values);

}  // namespace namm::cli
