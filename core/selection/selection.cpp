#include "namm/selection.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "base/nearest_names.hpp"
#include "core/selection/ranking.hpp"

namespace namm {
namespace {

using detail::better;
using detail::Candidate;
using detail::candidate;

struct ModeName {
  std::string_view name;
  SelectionMode mode;
};
constexpr ModeName kModes[] = {{"uniform", SelectionMode::uniform},
                               {"pooled", SelectionMode::pooled},
                               {"threshold", SelectionMode::threshold},
                               {"reference", SelectionMode::reference}};

/// Indices of the tokens that are never dropped: [0, sinks) and [recent, size).
struct Protection {
  std::size_t sinks = 0;
  std::size_t recent = 0;
  std::size_t count(std::size_t size) const { return sinks + size - recent; }
};

Protection protection(const SelectionSettings& settings, std::span<const std::int32_t> positions) {
  if (positions.empty()) return {};
  const std::int64_t newest = positions.back();
  const std::int64_t first_recent = newest - std::max(settings.recent, 1) + 1;
  Protection out;
  out.recent = static_cast<std::size_t>(std::lower_bound(positions.begin(), positions.end(), first_recent) - positions.begin());
  const auto sinks_end = std::lower_bound(positions.begin(), positions.end(), std::max(settings.sinks, 0));
  out.sinks = std::min(static_cast<std::size_t>(sinks_end - positions.begin()), out.recent);
  return out;
}

/// Moves the `count` best candidates to the front (in no order) and drops the others. O(n).
void keep_best(std::vector<Candidate>& candidates, std::int64_t count) {
  if (count < 0) count = 0;
  if (static_cast<std::size_t>(count) >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + count, candidates.end(), better);
  candidates.resize(static_cast<std::size_t>(count));
}

void add_protected(const Protection& range, std::size_t size, std::vector<std::int32_t>& kept) {
  for (std::size_t i = 0; i < range.sinks; ++i) kept.push_back(static_cast<std::int32_t>(i));
  for (std::size_t i = range.recent; i < size; ++i) kept.push_back(static_cast<std::int32_t>(i));
}

void add_candidates(const ScoredHead& head, std::size_t number, const Protection& range, std::vector<Candidate>& to) {
  for (std::size_t i = range.sinks; i < range.recent; ++i) to.push_back(candidate(head.scores[i], head.positions[i], number, i));
}

/// uniform; threshold differs in what it admits among the best.
void select_each(const SelectionSettings& settings, std::span<const ScoredHead> heads, std::int64_t budget_tokens,
                 Selection& out) {
  std::vector<Candidate> candidates;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t size = heads[h].positions.size();
    const Protection range = protection(settings, heads[h].positions);
    add_protected(range, size, out.kept[h]);
    candidates.clear();
    add_candidates(heads[h], h, range, candidates);
    if (settings.mode == SelectionMode::threshold) {
      std::erase_if(candidates,
                    [&](const Candidate& c) { return !(heads[h].scores[static_cast<std::size_t>(c.index)] >= 0.0f); });
    }
    if (budget_tokens >= 0) keep_best(candidates, budget_tokens - static_cast<std::int64_t>(range.count(size)));
    for (const Candidate& c : candidates) out.kept[h].push_back(c.index);
  }
}

void select_pooled(const SelectionSettings& settings, std::span<const ScoredHead> heads, std::int64_t budget_tokens,
                   Selection& out) {
  std::vector<Candidate> candidates;
  std::int64_t left = budget_tokens * static_cast<std::int64_t>(heads.size());
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t size = heads[h].positions.size();
    const Protection range = protection(settings, heads[h].positions);
    add_protected(range, size, out.kept[h]);
    left -= static_cast<std::int64_t>(range.count(size));
    add_candidates(heads[h], h, range, candidates);
  }
  if (budget_tokens >= 0) keep_best(candidates, left);
  for (const Candidate& c : candidates) out.kept[c.head].push_back(c.index);
}

/// Spec section 6. Two passes: what each head alone would keep, then every head of a layer filled up to the largest such count.
void select_reference(std::span<const ScoredHead> heads, std::int64_t budget_tokens, Selection& out) {
  std::map<int, std::int64_t> largest;  // by layer
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::span<const float> scores = heads[h].scores;
    if (scores.empty()) continue;
    // the best B are a prefix of the order, and so are the scores >= 0: the count is the smaller of the two
    const auto admitted = std::count_if(scores.begin(), scores.end() - 1, [](float score) { return score >= 0.0f; });
    std::int64_t count = static_cast<std::int64_t>(admitted) + 1;
    if (budget_tokens >= 0) count = std::min(count, std::max<std::int64_t>(budget_tokens, 1));
    std::int64_t& most = largest[heads[h].layer];
    most = std::max(most, count);
  }
  std::vector<Candidate> candidates;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t size = heads[h].positions.size();
    if (size == 0) continue;
    candidates.clear();
    add_candidates(heads[h], h, {0, size - 1}, candidates);  // all but the newest, which counts as the best
    keep_best(candidates, largest[heads[h].layer] - 1);
    for (const Candidate& c : candidates) out.kept[h].push_back(c.index);
    out.kept[h].push_back(static_cast<std::int32_t>(size - 1));
  }
}

}  // namespace

SelectionMode parse_selection_mode(std::string_view name) {
  std::vector<std::string_view> names;
  for (const ModeName& mode : kModes) {
    if (mode.name == name) return mode.mode;
    names.push_back(mode.name);
  }
  const std::vector<std::string> nearest = nearest_names(name, names, std::size(kModes));
  std::string list;
  for (const std::string& one : nearest) list += (list.empty() ? "" : ", ") + one;
  throw std::invalid_argument("selection mode: must be one of " + list + ", is '" + std::string(name.substr(0, 40)) +
                              "'; write one of them");
}

std::string_view to_string(SelectionMode mode) {
  for (const ModeName& known : kModes) {
    if (known.mode == mode) return known.name;
  }
  return "unknown";
}

Selection select(const SelectionSettings& settings, std::span<const ScoredHead> heads, std::int64_t budget_tokens) {
  Selection out;
  out.kept.resize(heads.size());
  for (std::size_t h = 0; h < heads.size(); ++h) {
    if (heads[h].scores.size() != heads[h].positions.size()) {
      throw std::invalid_argument("select: head " + std::to_string(h) + " must have one score per token (" +
                                  std::to_string(heads[h].positions.size()) + "), has " + std::to_string(heads[h].scores.size()));
    }
    out.nan_scores +=
        std::count_if(heads[h].scores.begin(), heads[h].scores.end(), [](float score) { return std::isnan(score); });
  }
  switch (settings.mode) {
    case SelectionMode::uniform:
    case SelectionMode::threshold:
      select_each(settings, heads, budget_tokens, out);
      break;
    case SelectionMode::pooled:
      select_pooled(settings, heads, budget_tokens, out);
      break;
    case SelectionMode::reference:
      select_reference(heads, budget_tokens, out);
      break;
  }
  for (std::vector<std::int32_t>& kept : out.kept) std::sort(kept.begin(), kept.end());
  return out;
}

}  // namespace namm
