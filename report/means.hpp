#pragma once
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/record.hpp"

namespace namm::report {

using ResultRows = std::vector<eval::ResultRecord>;

/// Groups of equal key in the order in which they are met.
template <typename Key>
std::vector<ResultRows> grouped(std::span<const eval::ResultRecord> records, Key key) {
  std::vector<ResultRows> out;
  std::map<decltype(key(records.front())), std::size_t> places;
  for (const eval::ResultRecord& r : records) {
    const auto [place, fresh] = places.emplace(key(r), out.size());
    if (fresh) out.emplace_back();
    out[place->second].push_back(r);
  }
  return out;
}

/// What everything is compared with.
inline constexpr const char* kFullPolicy = "full";
/// Whether a record is the full cache's.
bool is_full(const eval::ResultRecord& record);

/// "700 tokens"; "whole contexts" for 0.
std::string length_text(std::int64_t tokens);

/// "n = 40", or "n = 40 (20 independent)" where some share what they are about.
std::string count_text(std::int64_t samples, std::int64_t independent);

/// What can be put side by side.
struct ModelResults {
  /// "m.gguf (llama), seed 7", with the attachment if it is not our own cache, and with the settings in which groups of the same
  /// model and seed differ.
  std::string origin;
  ResultRows rows;  ///< what was measured twice stands there once, as it was measured last
};
/// The same model, seed, attachment and settings of the evaluation (split, protocol, filler or data).
std::vector<ModelResults> models_of(std::span<const eval::ResultRecord> records);
/// Of one model: the same task, length and number of prompts.
std::vector<ResultRows> tables_of(std::span<const eval::ResultRecord> records);
/// Of any records: the same policy (its content, too), mode, budget and interval, whatever the task and length.
std::vector<ResultRows> variants_of(std::span<const eval::ResultRecord> records);

/// Bytes that the cache held with all statistics, mean over the prompts of a record; NaN if that is unknown. Not for means over
/// tables, whose mean saving is not that of the mean bytes.
double held_bytes(const eval::ResultRecord& record);

struct ResultMeans {
  /// One per setting that is in every table. Prompts that were cut are those of all tables, peak_rss_bytes is the largest; of
  /// workers, threads, version and commit nothing (0, "") where the tables differ.
  ResultRows rows;
  std::vector<double> held_bytes;     ///< of each row: mean over the tables
  std::vector<std::string> left_out;  ///< settings that are not, "h2o 25%": their mean could not be compared
  std::int64_t samples = 0;           ///< prompts in all tables
  std::int64_t independent = 0;       ///< of them, as ResultRecord::independent; 0 if unknown
  std::size_t tables = 0;
};
/// Means over the tables of one model, of quality relative to the full cache the mean by the full cache's mean. Intervals take
/// the prompts of one task as what they are, the same at several lengths (eval/estimates.hpp); there are none for records that do
/// not hold their prompts. Values that one table lacks come from the others.
ResultMeans means_of(std::span<const eval::ResultRecord> records);

}  // namespace namm::report
