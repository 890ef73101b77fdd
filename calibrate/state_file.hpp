#pragma once
#include <filesystem>

#include <nlohmann/json.hpp>

#include "calibrate/probe_fit.hpp"

namespace namm::calibrate {

/// Writes the sums of `fit`: a line of JSON with what they are of, the numbers as they are in memory, the CRC-32C of both. Atomic
/// and synced. Throws std::runtime_error, for example on a full disk.
void save_state(const std::filesystem::path& path, const nlohmann::json& identity, const ProbeFit& fit);

/// Reads them back, of at most `sources` recordings. Throws std::runtime_error (one line) if the file is missing, damaged, or of
/// a run with another identity.
void load_state(const std::filesystem::path& path, const nlohmann::json& identity, std::size_t sources, ProbeFit& fit);

}  // namespace namm::calibrate
