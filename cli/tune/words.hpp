#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adapters/llama_cpp/host/llama_model.hpp"
#include "cli/tune/sizes.hpp"

namespace namm::cli {

/// --store of a tuning that is to choose, and of one that holds keys and values as without it.
inline constexpr const char *kAutoStore = "auto", *kDefaultStore = "f16";

/// What is tuned, and where.
struct Tuning {
  std::filesystem::path folder, model;
  std::string budget = "25%", data;   ///< data: prompts or texts of one's own; "": none
  std::string store = kDefaultStore;  ///< how keys and values are held; kAutoStore: is chosen (split.hpp)
  std::uint64_t seed = 1;
  int workers = 1, threads = 1;
  llama::Offload offload{};
  bool quiet = false;
  TuneSizes sizes;

  std::filesystem::path calibrated() const { return folder / "calibrated"; }
  std::filesystem::path plain() const { return folder / "plain.json"; }  ///< calibrated, without recency
  /// The calibrated policy as it is held, with recency or without.
  std::filesystem::path fitted(bool recency) const { return recency ? calibrated() / "policy.json" : plain(); }
  std::filesystem::path offsets(int number) const { return folder / ("offsets-" + std::to_string(number)); }
  std::filesystem::path averaged() const { return folder / "averaged.json"; }
  std::filesystem::path split(const std::string& store_name) const { return folder / ("split-" + store_name + ".jsonl"); }
  std::filesystem::path split_file() const { return folder / "split.json"; }
  std::filesystem::path validation() const { return folder / "validation.jsonl"; }
  std::filesystem::path chosen() const { return folder / "policy.json"; }
  std::filesystem::path results() const { return folder / "results.jsonl"; }
  std::filesystem::path details() const { return folder / "details.jsonl"; }
  std::filesystem::path page() const { return folder / "report.html"; }
};

// The steps as commands of this program, without its name: what a user would type to repeat one of them.
std::vector<std::string> calibrate_words(const Tuning& tuning);
/// The calibrated policy beside the full cache, held as `store`, with means without recency, too; split() is where results go.
std::vector<std::string> split_words(const Tuning& tuning, const std::string& store);
/// `budget`: of as many entries as the store affords.
std::vector<std::string> evolve_words(const Tuning& tuning, int number, const std::string& budget);
/// `recency`: it is put back.
std::vector<std::string> average_words(const Tuning& tuning, bool recency);
std::vector<std::string> validate_words(const Tuning& tuning, const std::string& store, bool recency);
std::vector<std::string> test_words(const Tuning& tuning, const std::string& store);
/// `evolved`: there are evolutions to be shown.
std::vector<std::string> report_words(const Tuning& tuning, bool evolved);

}  // namespace namm::cli
