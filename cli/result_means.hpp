#pragma once
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/result_record.hpp"

namespace namm::cli {

using ResultRows = std::vector<ResultRecord>;

/// Groups of equal key in the order in which they are met.
template <typename Key>
std::vector<ResultRows> grouped(std::span<const ResultRecord> records, Key key) {
  std::vector<ResultRows> out;
  std::map<decltype(key(records.front())), std::size_t> places;
  for (const ResultRecord& r : records) {
    const auto [place, fresh] = places.emplace(key(r), out.size());
    if (fresh) out.emplace_back();
    out[place->second].push_back(r);
  }
  return out;
}

/// Whether a record is the full cache's.
bool is_full(const ResultRecord& record);
/// "m.gguf (llama), seed 7"; with the attachment if it is not our own cache.
std::string origin(const ResultRecord& record);

/// What can be put side by side: the same model, seed and attachment.
std::vector<ResultRows> models_of(std::span<const ResultRecord> records);
/// Of one model: the same task and length.
std::vector<ResultRows> tables_of(std::span<const ResultRecord> records);
/// Of any records: the same policy, mode, budget and interval, whatever the task and length.
std::vector<ResultRows> variants_of(std::span<const ResultRecord> records);

struct ResultMeans {
  ResultRows rows;           ///< one per setting that is in every table
  std::size_t left_out = 0;  ///< settings that are not: their mean could not be compared
  std::int64_t samples = 0;  ///< prompts in all tables
  std::size_t tables = 0;
};
/// Means over the tables of one model; intervals as if the tables were independent samples. Values that one of them lacks come
/// from the others.
ResultMeans means_of(std::span<const ResultRecord> records);

}  // namespace namm::cli
