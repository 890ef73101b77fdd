#pragma once
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "eval/details_file.hpp"
#include "eval/token_kinds.hpp"

namespace namm::report {

/// Tokens and how many of them were kept, summed over heads: `kept` of `tokens` (layer, KV head, token) entries.
struct KeptCount {
  std::int64_t kept = 0, tokens = 0;
  KeptCount& operator+=(const KeptCount& more) {
    kept += more.kept;
    tokens += more.tokens;
    return *this;
  }
  double share() const { return static_cast<double>(kept) / static_cast<double>(tokens); }  ///< NaN without tokens
};

/// What one policy under one budget kept, over all prompts it was watched on.
struct Retention {
  std::string model, policy, memory, budget, mode;
  int interval_tokens = 0;
  std::vector<std::size_t> members;                ///< indices into the file's retentions
  std::map<std::pair<int, int>, KeptCount> heads;  ///< by (layer, KV head)
  static constexpr std::size_t kBins = 25;
  std::array<KeptCount, kBins> positions{};  ///< from the first to the last token of the prompt
  struct Task {
    std::string name;
    std::array<KeptCount, eval::kTokenKinds> kinds{};
  };
  std::vector<Task> tasks;
};

/// One per policy (its content, too), budget, mode and interval, in the order of the file; the full cache is left out.
std::vector<Retention> retentions_of(const eval::DetailsFile& file);

}  // namespace namm::report
