#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/options.hpp"

namespace namm::cli {

/// A run as a file: a JSON object whose names are the command's options without their dashes. With "stages", a list of such
/// objects, several runs one after the other; what stands outside the list holds for all of them.
struct RunConfig {
  std::filesystem::path path;  ///< for error messages; empty: there is no file
  nlohmann::json common = nlohmann::json::object();
  std::vector<nlohmann::json> stages;  ///< one, empty, where the file has no "stages"
  bool staged = false;
  std::string isa;  ///< no option: the instruction set of the run that wrote the file; empty where none is named
};

/// The field of a run's file that says which instruction set its kernels used.
inline constexpr const char* kIsaField = "isa";
/// Runs of the Python package name Transformers and torch in it; the program cannot go on with them.
inline constexpr const char* kRuntimeField = "runtime";

/// `of_process`: options that must not differ between stages. Throws std::runtime_error if the file cannot be read or is not
/// JSON, std::invalid_argument if it is of another form or has a name that is no option (and names the nearest).
RunConfig load_run_config(const std::filesystem::path& path, const po::options_description& options,
                          std::span<const std::string_view> of_process);

/// Puts what stage `stage` of the file says where the command line says nothing. For parse().
void apply_run_config(const RunConfig& config, std::size_t stage, const po::options_description& options,
                      po::variables_map& values);

/// All options with the values that are in force, but for those in `without`; read back, it is the same run.
nlohmann::json run_config_of(const po::variables_map& values, const po::options_description& options,
                             std::span<const std::string_view> without);

}  // namespace namm::cli
