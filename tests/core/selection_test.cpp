#include "namm/selection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Head {
  int layer = 0;
  std::vector<float> scores;
  std::vector<std::int32_t> positions;
};

std::vector<ScoredHead> views(const std::vector<Head>& heads) {
  std::vector<ScoredHead> out;
  for (const Head& head : heads) out.push_back({head.layer, head.scores, head.positions});
  return out;
}

/// Few different scores, so that ties are everywhere; NaN and infinities among them.
std::vector<Head> random_heads(std::mt19937& random, bool same_length) {
  std::vector<Head> heads(1 + random() % 6);
  const std::size_t common = random() % 60;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    heads[h].layer = static_cast<int>(h / 2);
    const std::size_t size = same_length ? common : random() % 60;
    std::int32_t position = static_cast<std::int32_t>(random() % 3);
    for (std::size_t i = 0; i < size; ++i, position += 1 + static_cast<std::int32_t>(random() % 3)) {
      heads[h].positions.push_back(position);
      const std::size_t kind = random() % 20;
      const float scores[] = {kNan, -INFINITY, INFINITY, -0.0f};
      heads[h].scores.push_back(kind < 4 ? scores[kind] : static_cast<float>(random() % 9) - 4.0f);
    }
  }
  return heads;
}

struct Token {
  std::size_t head;
  std::int32_t index;
  float score;
  std::int32_t position;
};

/// Written apart from the library: sorts everything, compares floats directly.
bool ranks_before(const Token& a, const Token& b) {
  const bool a_nan = std::isnan(a.score), b_nan = std::isnan(b.score);
  if (a_nan != b_nan) return b_nan;
  if (!a_nan && a.score != b.score) return a.score > b.score;
  if (a.position != b.position) return a.position > b.position;
  return a.head < b.head;
}

std::vector<std::set<std::int32_t>> brute_force(const SelectionSettings& settings, const std::vector<Head>& heads,
                                                std::int64_t budget) {
  std::vector<std::set<std::int32_t>> kept(heads.size());
  std::vector<Token> open;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    for (std::size_t i = 0; i < heads[h].positions.size(); ++i) {
      const std::int32_t position = heads[h].positions[i], newest = heads[h].positions.back();
      const bool guarded = settings.mode == SelectionMode::reference
                               ? position == newest
                               : position < settings.sinks || newest - position < std::max(1, settings.recent);
      const Token token{h, static_cast<std::int32_t>(i), heads[h].scores[i], position};
      if (guarded) {
        kept[h].insert(token.index);
      } else {
        open.push_back(token);
      }
    }
  }
  std::sort(open.begin(), open.end(), ranks_before);
  const auto total = [&] {
    std::size_t sum = 0;
    for (const auto& one : kept) sum += one.size();
    return static_cast<std::int64_t>(sum);
  };
  const bool threshold = settings.mode == SelectionMode::threshold || settings.mode == SelectionMode::reference;
  for (const Token& token : open) {
    const std::int64_t used =
        settings.mode == SelectionMode::pooled ? total() : static_cast<std::int64_t>(kept[token.head].size());
    const std::int64_t allowed =
        settings.mode == SelectionMode::pooled ? budget * static_cast<std::int64_t>(heads.size()) : budget;
    if (budget >= 0 && used >= allowed) continue;
    if (threshold && !(token.score >= 0)) continue;
    kept[token.head].insert(token.index);
  }
  if (settings.mode == SelectionMode::reference) {
    std::vector<std::size_t> alone;
    for (const auto& one : kept) alone.push_back(one.size());
    for (const Token& token : open) {
      std::size_t wanted = 0;
      for (std::size_t h = 0; h < heads.size(); ++h) {
        if (heads[h].layer == heads[token.head].layer) wanted = std::max(wanted, alone[h]);
      }
      if (kept[token.head].size() < wanted) kept[token.head].insert(token.index);
    }
  }
  return kept;
}

}  // namespace

TEST_CASE("Every mode keeps what a brute-force implementation keeps") {
  const SelectionMode mode =
      GENERATE(SelectionMode::uniform, SelectionMode::pooled, SelectionMode::threshold, SelectionMode::reference);
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<Head> heads = random_heads(random, mode == SelectionMode::reference || random() % 2 == 0);
    const SelectionSettings settings = samples::selecting(mode, static_cast<int>(random() % 6), static_cast<int>(random() % 12));
    const std::int64_t budget = random() % 4 == 0 ? -1 : 1 + static_cast<std::int64_t>(random() % 40);
    const Selection got = select(settings, views(heads), budget);
    const auto wanted = brute_force(settings, heads, budget);
    INFO(to_string(mode) << " round " << round << " budget " << budget);
    REQUIRE(got.kept.size() == heads.size());
    std::int64_t nan = 0;
    for (std::size_t h = 0; h < heads.size(); ++h) {
      REQUIRE(got.kept[h] == std::vector<std::int32_t>(wanted[h].begin(), wanted[h].end()));
      if (!heads[h].positions.empty()) REQUIRE(got.kept[h].back() + 1 == static_cast<std::int32_t>(heads[h].positions.size()));
      nan += std::count_if(heads[h].scores.begin(), heads[h].scores.end(), [](float s) { return std::isnan(s); });
    }
    REQUIRE(got.nan_scores == nan);
  }
}

TEST_CASE("Pooled budgets go to the heads with the better scores") {
  const std::vector<std::int32_t> positions = samples::range(0, 100);
  const std::vector<float> low(100, 1.0f), high(100, 2.0f);
  const std::vector<ScoredHead> heads = {{0, low, positions}, {0, high, positions}};
  const Selection got = select(samples::selecting(SelectionMode::pooled, 4, 16), heads, 50);
  CHECK(got.kept[0].size() == 20);
  CHECK(got.kept[1].size() == 80);
}

TEST_CASE("Protection is kept where the budget is smaller, ties go to the newer token") {
  const std::vector<std::int32_t> positions = samples::range(0, 30);
  const std::vector<float> equal(30, 0.0f);
  const std::vector<ScoredHead> heads = {{0, equal, positions}};
  CHECK(select(samples::selecting(SelectionMode::uniform, 2, 3), heads, 1).kept[0] ==
        std::vector<std::int32_t>{0, 1, 27, 28, 29});
  CHECK(select(samples::selecting(SelectionMode::uniform, 0, 0), heads, 3).kept[0] == std::vector<std::int32_t>{27, 28, 29});
  CHECK(select(samples::selecting(SelectionMode::uniform, 1, 1), heads, 4).kept[0] == std::vector<std::int32_t>{0, 27, 28, 29});
  CHECK(select(samples::selecting(SelectionMode::uniform), heads, -1).kept[0].size() == 30);
  CHECK(select(samples::selecting(SelectionMode::uniform), {}, 5).kept.empty());
}

TEST_CASE("Selection refuses scores that do not fit, and unknown modes with the names there are") {
  const std::vector<std::int32_t> positions = samples::range(0, 3);
  const std::vector<float> scores(2);
  const std::vector<ScoredHead> heads = {{0, scores, positions}};
  CHECK_THROWS_AS(select(samples::selecting(SelectionMode::uniform), heads, 1), std::invalid_argument);
  for (const SelectionMode mode :
       {SelectionMode::uniform, SelectionMode::pooled, SelectionMode::threshold, SelectionMode::reference}) {
    CHECK(parse_selection_mode(to_string(mode)) == mode);
  }
  CHECK_THROWS_WITH(parse_selection_mode("pool"),
                    "selection mode: must be one of pooled, uniform, threshold, reference, is 'pool'; write one of them");
}
