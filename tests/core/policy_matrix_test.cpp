// Every registered policy, by what its contract promises. A new line of the registry is tested here without a change.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include <unistd.h>

#include "core/policy_file.hpp"
#include "namm/cache_policy.hpp"
#include "namm/policy.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

/// A policy whose weights, if it has any, are not zero.
std::unique_ptr<Policy> made(const PolicyEntry& entry, unsigned seed = 1) {
  std::unique_ptr<Policy> policy = entry.make(samples::settings_of(entry));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> parameters = policy->parameters();
  for (float& value : parameters) value = normal(random);
  policy->set_parameters(parameters);
  return policy;
}

std::vector<float> scored(const Policy& policy, const HeadTokens& tokens) {
  std::vector<float> out(tokens.size(), NAN);
  policy.score(tokens, out);
  return out;
}

/// Statistics of a head, fed by the policy's own needs only.
HeadStatistics fed(const Policy& policy, std::size_t tokens, unsigned seed = 2) {
  std::mt19937 random(seed);
  HeadStatistics statistics(samples::needing(policy.required()));
  for (std::size_t first = 0; first < tokens; first += 100) {
    samples::feed(statistics, random, static_cast<std::int32_t>(first), std::min<std::size_t>(100, tokens - first));
  }
  return statistics;
}

template <typename T>
std::vector<T> picked(std::span<const T> values, std::span<const std::int32_t> indices, std::size_t width) {
  std::vector<T> out;
  if (values.empty()) return out;
  for (const std::int32_t index : indices) {
    const auto one = values.subspan(static_cast<std::size_t>(index) * width, width);
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace

TEST_CASE("Policy matrix: scores are finite, repeat, and exist for any number of tokens") {
  for (const PolicyEntry& entry : policy_registry()) {
    INFO(entry.name);
    const auto policy = made(entry);
    CHECK(policy->name() == entry.name);
    for (const std::size_t tokens : {0u, 1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 300u}) {
      const HeadStatistics statistics = fed(*policy, tokens);
      const std::vector<float> scores = scored(*policy, statistics.view());
      CHECK(std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); }));
      CHECK(same_bits(scores, scored(*policy, statistics.view())));
      CHECK(same_bits(scores, scored(*policy->clone(), statistics.view())));
    }
    // no attention yet: tokens that no query has seen
    HeadStatistics unseen(samples::needing(policy->required()));
    const std::vector<float> norms(20, 1.0f);
    unseen.append(samples::range(0, 20), norms, norms, norms);
    const std::vector<float> scores = scored(*policy, unseen.view());
    CHECK(std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); }));
  }
}

TEST_CASE("Policy matrix: evicted tokens leave no trace beyond the statistics") {
  for (const PolicyEntry& entry : policy_registry()) {
    INFO(entry.name);
    const auto policy = made(entry);
    HeadStatistics statistics = fed(*policy, 200);
    std::vector<std::int32_t> kept;
    for (std::int32_t i = 0; i < 200; i += 1 + i % 4) kept.push_back(i);
    kept.push_back(199);
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    // the same tokens put together by hand from the view before the eviction
    const HeadTokens all = statistics.view();
    const auto positions = picked(all.positions, kept, 1);
    const auto spectrogram = picked(all.spectrogram, kept, kBins);
    const auto accumulated = picked(all.accumulated, kept, 1), queries = picked(all.queries_seen, kept, 1);
    const auto last = picked(all.last_row, kept, 1), window = picked(all.window_mean, kept, 1);
    const auto keys = picked(all.key_norm, kept, 1), values = picked(all.value_norm, kept, 1);
    const auto content = picked(all.content, kept, 1);
    HeadTokens by_hand;
    by_hand.positions = positions;
    by_hand.spectrogram = spectrogram;
    by_hand.accumulated = accumulated;
    by_hand.queries_seen = queries;
    by_hand.last_row = last;
    by_hand.window_mean = window;
    by_hand.key_norm = keys;
    by_hand.value_norm = values;
    by_hand.content = content;
    const std::vector<float> wanted = scored(*policy, by_hand);
    statistics.keep(kept);
    CHECK(same_bits(scored(*policy, statistics.view()), wanted));
  }
}

TEST_CASE("Policy matrix: updates stay within budget, keep protected tokens and the newest, and repeat") {
  for (const PolicyEntry& entry : policy_registry()) {
    const auto policy = made(entry);
    std::vector<HeadStatistics> statistics;
    for (unsigned head = 0; head < 6; ++head) statistics.push_back(fed(*policy, 150, head));
    std::vector<HeadTokens> views;
    for (std::size_t head = 0; head < statistics.size(); ++head) {
      views.push_back(statistics[head].view());
      views.back().layer = static_cast<int>(head / 2);
      views.back().kv_head = static_cast<int>(head % 2);
      views.back().tokens_seen = 150;
    }
    for (const SelectionMode mode :
         {SelectionMode::uniform, SelectionMode::pooled, SelectionMode::threshold, SelectionMode::reference}) {
      for (const std::int64_t budget : {1, 10, 40, 150, 1000, -1}) {
        INFO(entry.name << " " << to_string(mode) << " " << budget);
        const SelectionSettings settings = samples::selecting(mode, 3, 8);
        const Selection selection = plan_update(*policy, settings, views, budget);
        const Selection again = plan_update(*policy, settings, views, budget);
        CHECK(selection.kept == again.kept);
        CHECK(selection.nan_scores == 0);
        std::size_t total = 0;
        for (const std::vector<std::int32_t>& kept : selection.kept) {
          total += kept.size();
          REQUIRE_FALSE(kept.empty());
          CHECK(std::is_sorted(kept.begin(), kept.end()));
          CHECK(kept.back() == 149);
          if (policy->keeps_everything()) {
            CHECK(kept.size() == 150);
            continue;
          }
          if (mode != SelectionMode::reference) {
            for (const std::int32_t guarded : {0, 1, 2, 142, 143, 149})
              CHECK(std::binary_search(kept.begin(), kept.end(), guarded));
          }
          if (budget >= 0 && mode != SelectionMode::pooled)
            CHECK(kept.size() <= static_cast<std::size_t>(std::max<std::int64_t>(budget, 11)));
          if (mode == SelectionMode::uniform && budget >= 0) {
            CHECK(kept.size() == static_cast<std::size_t>(std::clamp<std::int64_t>(budget, 11, 150)));
          }
        }
        if (mode == SelectionMode::pooled && budget >= 0 && !policy->keeps_everything()) {
          CHECK(total == static_cast<std::size_t>(std::clamp<std::int64_t>(budget, 11, 150)) * 6);
        }
      }
    }
  }
}

TEST_CASE("Policy matrix: no evicted token scores above a kept one") {
  for (const PolicyEntry& entry : policy_registry()) {
    INFO(entry.name);
    const auto policy = made(entry);
    if (policy->keeps_everything()) continue;
    const HeadStatistics statistics = fed(*policy, 150);
    const std::vector<HeadTokens> views = {statistics.view()};
    const Selection selection = plan_update(*policy, samples::selecting(SelectionMode::uniform, 0, 1), views, 40);
    const std::vector<float> scores = scored(*policy, views[0]);
    float lowest_kept = INFINITY, highest_evicted = -INFINITY;
    const auto newest = std::max(1, static_cast<std::int32_t>(policy->recent_share() * 40));  // kept whatever their scores
    for (std::int32_t i = 0; i < 150 - newest; ++i) {
      const bool kept = std::binary_search(selection.kept[0].begin(), selection.kept[0].end(), i);
      float& bound = kept ? lowest_kept : highest_evicted;
      bound = kept ? std::min(bound, scores[static_cast<std::size_t>(i)]) : std::max(bound, scores[static_cast<std::size_t>(i)]);
    }
    CHECK(lowest_kept >= highest_evicted);
  }
}

TEST_CASE("Policy matrix: parameters are counted, checked and set") {
  for (const PolicyEntry& entry : policy_registry()) {
    INFO(entry.name);
    const auto policy = entry.make(samples::settings_of(entry));
    const std::size_t count = policy->parameter_count();
    CHECK(policy->parameters() == std::vector<float>(count, 0.0f));
    CHECK_THROWS_AS(policy->set_parameters(std::vector<float>(count + 1)), std::invalid_argument);
    std::vector<float> weights(count, 0.5f);
    CHECK_NOTHROW(policy->set_parameters(weights));
    CHECK(policy->parameters() == weights);
    if (count == 0) continue;
    CHECK_THROWS_AS(policy->set_parameters({}), std::invalid_argument);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> wrong(count, 1.0f);
      wrong[count / 2] = bad;
      CHECK_THROWS_AS(policy->set_parameters(wrong), std::invalid_argument);
    }
    CHECK(policy->parameters() == weights);
    const auto copy = policy->clone();
    policy->set_parameters(std::vector<float>(count, 0.25f));
    CHECK(copy->parameters() == weights);
  }
}

TEST_CASE("Policy matrix: a policy file gives the same policy back, bit for bit") {
  for (const char* const ending : {".json", ".safetensors"}) {
    const std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("namm_matrix_" + std::to_string(::getpid()) + ending);
    for (const PolicyEntry& entry : policy_registry()) {
      INFO(entry.name);
      PolicyFile file;
      file.policy = made(entry);
      save_policy_file(path, file);
      const PolicyFile back = load_policy_file(path);
      CHECK(back.policy->name() == entry.name);
      CHECK(back.policy->required() == file.policy->required());
      CHECK(same_bits(back.policy->parameters(), file.policy->parameters()));
      CHECK(back.policy->to_json() == file.policy->to_json());
      const HeadStatistics statistics = fed(*file.policy, 120);
      CHECK(same_bits(scored(*back.policy, statistics.view()), scored(*file.policy, statistics.view())));
    }
    std::filesystem::remove(path);
  }
}
