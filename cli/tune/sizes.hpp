#pragma once
#include <string>

#include <nlohmann/json.hpp>

namespace namm::cli {

/// Lengths of validation and test, in tokens. Behind them a question and an answer fit before the next update: nothing is read
/// twice for them (Host::rewind).
inline constexpr int kShortestTuned = 700, kLongestTuned = 1900;
inline constexpr int kTunePrompts = 2;  ///< that every candidate of an evolution is scored on

/// How much work `namm tune` puts into each of its steps.
struct TuneSizes {
  int texts = 60;        ///< to calibrate on
  int seeds = 3;         ///< evolutions that are averaged; 0: none, the calibrated policy is what comes out
  int generations = 15;  ///< of each of them
  int validation = 8;    ///< prompts per task and length on which is chosen
  int test = 20;         ///< prompts per task and length on which the choice is reported
  int population = 12;
  /// Prompts per task and length on which is chosen how keys and values are held.
  int split() const { return test >= 20 ? 4 : test >= 10 ? 3 : 1; }
  std::string evolve_lengths = "512,900";  ///< of the prompts, in tokens
  std::string lengths = std::to_string(kShortestTuned) + "," + std::to_string(kLongestTuned);
};

/// Tokens that the model reads for them, together; a token that evolution reads counts like any other. `compared`: so often
/// prompts are read to compare ways to hold keys and values; 0: it is settled.
double tokens_of(const TuneSizes& sizes, int compared = 0);
/// The largest that fit into so many tokens; the smallest that make sense if none does.
TuneSizes sizes_within(double tokens, int compared = 0);
nlohmann::json to_json(const TuneSizes& sizes);
/// Throws std::runtime_error naming the field.
TuneSizes sizes_from_json(const nlohmann::json& json);

}  // namespace namm::cli
