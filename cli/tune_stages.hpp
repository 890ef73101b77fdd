#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "namm/selection.hpp"

namespace namm::cli {

/// How much work `namm tune` puts into each of its steps.
struct TuneSizes {
  int texts = 60;        ///< to calibrate on
  int seeds = 3;         ///< evolutions that are averaged; 0: none, the calibrated policy is what comes out
  int generations = 15;  ///< of each of them
  int validation = 8;    ///< prompts per task and length on which is chosen
  int test = 20;         ///< prompts per task and length on which the choice is reported
  int population = 12;
  std::string evolve_lengths = "512,900";  ///< of the prompts, in tokens
  std::string lengths = "700,2000";        ///< of validation and test
};

/// Tokens that the model reads for them, together; a token that evolution reads counts like any other.
double tokens_of(const TuneSizes& sizes);
/// The largest that fit into so many tokens; the smallest that make sense if none does.
TuneSizes sizes_within(double tokens);
nlohmann::json to_json(const TuneSizes& sizes);
/// Throws std::runtime_error naming the field.
TuneSizes sizes_from_json(const nlohmann::json& json);

/// What is tuned, and where.
struct Tuning {
  std::filesystem::path folder, model;
  std::string budget = "25%", data;  ///< data: prompts or texts of one's own; "": none
  std::uint64_t seed = 1;
  int workers = 1, threads = 1;
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

/// What the validation says.
struct TuneChoice {
  bool averaged = false;                        ///< else the calibrated policy
  double calibrated_nat = 0, averaged_nat = 0;  ///< mean change of the answers' log-likelihood per token, nat
  std::string why;                              ///< one sentence
};

/// The averaged policy if it loses less in the mean over tasks and lengths than the calibrated one and on none of them more than
/// 0.1 nat per token more. Throws std::runtime_error if the results lack one of the two.
TuneChoice choose(const Tuning& tuning);

}  // namespace namm::cli
