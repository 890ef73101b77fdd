#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adapters/llama_cpp/host/llama_model.hpp"
#include "cli/tune/sizes.hpp"

namespace namm::cli {

/// What is tuned, and where.
struct Tuning {
  std::filesystem::path folder, model;
  std::string budget = "25%", data;  ///< data: prompts or texts of one's own; "": none
  std::uint64_t seed = 1;
  int workers = 1, threads = 1;
  llama::Offload offload{};
  bool quiet = false;
  TuneSizes sizes;

  std::filesystem::path calibrated() const { return folder / "calibrated"; }
  std::filesystem::path plain() const { return folder / "plain.json"; }  ///< calibrated, without recency
  std::filesystem::path offsets(int number) const { return folder / ("offsets-" + std::to_string(number)); }
  std::filesystem::path averaged() const { return folder / "averaged.json"; }
  std::filesystem::path validation() const { return folder / "validation.jsonl"; }
  std::filesystem::path chosen() const { return folder / "policy.json"; }
  std::filesystem::path results() const { return folder / "results.jsonl"; }
  std::filesystem::path details() const { return folder / "details.jsonl"; }
  std::filesystem::path page() const { return folder / "report.html"; }
};

// The steps as commands of this program, without its name: what a user would type to repeat one of them.
std::vector<std::string> calibrate_words(const Tuning& tuning);
std::vector<std::string> evolve_words(const Tuning& tuning, int number);
std::vector<std::string> average_words(const Tuning& tuning);
std::vector<std::string> validate_words(const Tuning& tuning);
std::vector<std::string> test_words(const Tuning& tuning);
std::vector<std::string> report_words(const Tuning& tuning);

}  // namespace namm::cli
