// A sequence decides as the parts it is made of, and goes on after it was saved.
#include "adapters/c/policy_sequence.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <numeric>
#include <random>

#include "tests/check.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm;

namespace {

constexpr int kSize = 4;

std::vector<std::int32_t> positions_from(int first, int count) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::vector<float> draws(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(generator);
  return out;
}

/// Probabilities of `rows` queries over `held` entries of which the last `rows` are the queries' own tokens.
std::vector<float> causal_rows(int rows, std::size_t held, unsigned seed) {
  std::vector<float> out = draws(static_cast<std::size_t>(rows) * held, seed);
  for (int r = 0; r < rows; ++r) {
    float sum = 0;
    for (std::size_t t = 0; t < held; ++t) {
      float& p = out[static_cast<std::size_t>(r) * held + t];
      p = t < held - static_cast<std::size_t>(rows - 1 - r) ? std::exp(2 * p) : 0;
      sum += p;
    }
    for (std::size_t t = 0; t < held; ++t) out[static_cast<std::size_t>(r) * held + t] /= sum;
  }
  return out;
}

/// 16 tokens for every layer of a sequence: keys and values by layer and position, attention of every head.
void feed(PolicySequence& sequence, int first) {
  for (const LayerDescription& layer : sequence.layers()) {
    const auto width = static_cast<std::size_t>(layer.kv_heads * kSize);
    const auto seed = static_cast<unsigned>(layer.layer * 1000 + first);
    const std::vector<float> keys = draws(16 * width, seed), values = draws(16 * width, seed + 1);
    sequence.append(layer.layer, positions_from(first, 16), {keys.data(), width, values.data(), width});
    for (int h = 0; h < layer.kv_heads; ++h) {
      const std::size_t held = sequence.positions(layer.layer, h).size();
      sequence.observe(layer.layer, h, causal_rows(16, held, seed + 2 + static_cast<unsigned>(h)), 16, held, first);
    }
  }
}

}  // namespace

TEST_CASE("a sequence keeps what its statistics and update_heads() keep", "[c]") {
  const char* const policy_name = GENERATE("default", "snapkv", "knorm");
  const CachePolicy policy =
      load_policy(policy_name).with_budget("12").with_mode("pooled").with_protection(1, 2).with_interval(32);
  // what a policy file says of how llama.cpp is to hold rows, and means of evicted ones, is not for here
  PolicySequence sequence(policy.with_store("q8_0+4means"), {{0, 2, kSize, kSize, 0}, {1, 1, kSize, kSize, 0}});
  StatisticsSettings settings;
  settings.needed = policy.required();
  settings.spectrogram = policy.spectrogram;
  std::vector<HeadStatistics> heads(3, HeadStatistics(settings));
  for (int first = 0; first < 96; first += 16) {
    feed(sequence, first);
    for (int number = 0; number < 3; ++number) {
      const int layer = number / 2, h = number % 2, kv_heads = layer == 0 ? 2 : 1;
      const auto width = static_cast<std::size_t>(kv_heads * kSize);
      const auto seed = static_cast<unsigned>(layer * 1000 + first);
      const std::vector<float> keys = draws(16 * width, seed), values = draws(16 * width, seed + 1);
      const auto norms = [&](const std::vector<float>& rows) {
        std::vector<float> out;
        for (std::size_t t = 0; t < 16; ++t) {
          double sum = 0;
          for (std::size_t d = 0; d < kSize; ++d)
            sum += std::pow(static_cast<double>(rows[t * width + static_cast<std::size_t>(h) * kSize + d]), 2);
          out.push_back(static_cast<float>(std::sqrt(sum)));
        }
        return out;
      };
      HeadStatistics& head = heads[static_cast<std::size_t>(number)];
      head.append(positions_from(first, 16), norms(keys), norms(values));
      head.observe(causal_rows(16, head.size(), seed + 2 + static_cast<unsigned>(h)), 16, head.size(), first);
    }
    REQUIRE(sequence.due() == (first % 32 == 16));
    if (!sequence.due()) continue;
    std::vector<HeadTokens> views;
    for (int number = 0; number < 3; ++number) {
      views.push_back(heads[static_cast<std::size_t>(number)].view());
      views.back().layer = number / 2;
      views.back().kv_head = number % 2;
      views.back().tokens_seen = first + 16;
    }
    const Selection expected = update_heads(policy, views, first + 16, 3 * 2 * kSize * 2);
    sequence.update();
    for (std::size_t number = 0; number < 3; ++number) {
      const auto kept = sequence.kept(static_cast<int>(number / 2), static_cast<int>(number % 2));
      REQUIRE(std::vector(kept.begin(), kept.end()) == expected.kept[number]);
      heads[number].keep(expected.kept[number]);
    }
    REQUIRE(sequence.usage().entries == 36);
  }
}

TEST_CASE("layers with a window drop what the next token does not see, whatever the policy says", "[c]") {
  PolicySequence sequence(load_policy("streaming").with_budget("20").with_interval(16),
                          {{0, 1, kSize, kSize, 0}, {1, 1, kSize, kSize, 10}});
  for (int first = 0; first < 48; first += 16) feed(sequence, first);
  sequence.update();
  const auto held = sequence.positions(1, 0);
  REQUIRE(held.size() == 9);  // with the next token there are 10
  REQUIRE(held.front() == 39);
  REQUIRE(sequence.positions(0, 0).size() == 20);
  REQUIRE(sequence.usage().entries_full == 48 + 10);
}

TEST_CASE("rows from queries and keys agree with probabilities in double, with soft cap and sinks", "[c]") {
  const int query_heads = 4, rows = 40;
  const CachePolicy policy = load_policy("h2o").with_budget("10").with_protection(1, 2).with_interval(1000);
  for (const bool plain : {true, false}) {
    PolicySequence by_queries(policy, {{2, 2, kSize, kSize, 0}}), by_rows = by_queries;
    const std::vector<float> keys = draws(2 * rows * kSize, 3),
                             queries = draws(static_cast<std::size_t>(rows) * query_heads * kSize, 4);
    const std::vector<float> sinks = {0.5f, -1, 2, 0};
    const float* const per_head[] = {keys.data(), keys.data() + rows * kSize};
    QueryRows from{query_heads,
                   queries.data(),
                   static_cast<std::size_t>(query_heads * kSize),
                   per_head,
                   kSize,
                   0.7f,
                   plain ? 0.0f : 3.0f,
                   plain ? nullptr : sinks.data()};
    by_queries.append(2, positions_from(0, rows), {});
    by_rows.append(2, positions_from(0, rows), {});
    by_queries.observe_queries(2, 25, 0, from);  // any split
    QueryRows rest = from;
    rest.queries += 25 * query_heads * kSize;
    by_queries.observe_queries(2, rows - 25, 25, rest);
    for (std::size_t h = 0; h < 2; ++h) {
      std::vector<float> mean(rows * rows);
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t g = 0; g < 2; ++g) {
          std::vector<double> power(r + 1);
          double sum = plain ? 0 : std::exp(static_cast<double>(sinks[2 * h + g]));
          for (std::size_t t = 0; t <= r; ++t) {
            double product = 0;
            for (std::size_t d = 0; d < kSize; ++d)
              product += static_cast<double>(queries[(r * query_heads + 2 * h + g) * kSize + d]) *
                         static_cast<double>(per_head[h][t * kSize + d]);
            product *= 0.7;
            if (!plain) product = 3 * std::tanh(product / 3);
            sum += power[t] = std::exp(product);
          }
          for (std::size_t t = 0; t <= r; ++t) mean[r * rows + t] += static_cast<float>(power[t] / sum / 2);
        }
      by_rows.observe(2, static_cast<int>(h), mean, rows, rows, 0);
    }
    by_queries.update();
    by_rows.update();
    for (int h = 0; h < 2; ++h) {
      const auto one = by_queries.kept(2, h), other = by_rows.kept(2, h);
      REQUIRE(one.size() == 10);
      REQUIRE(std::vector(one.begin(), one.end()) == std::vector(other.begin(), other.end()));
    }
  }
}

#if !defined(NAMM_TSAN)  // refuses to run threads in a child of a process that had some
TEST_CASE("a forked child observes queries", "[c]") {
  const CachePolicy policy = load_policy("h2o").with_budget("10").with_protection(1, 2).with_interval(1000);
  const auto observe = [&] {
    PolicySequence sequence(policy, {{0, 2, kSize, kSize, 0}});
    const std::vector<float> rows(8 * 2 * kSize, 0.5f);
    const float* const keys[] = {rows.data(), rows.data()};
    sequence.append(0, positions_from(0, 8), {});
    sequence.observe_queries(0, 8, 0, {2, rows.data(), 2 * kSize, keys, kSize, 1, 0, nullptr});
  };
  observe();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);
    observe();
    _exit(0);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
#endif

TEST_CASE("a restored sequence goes on bit for bit; others' bytes and cut ones change nothing", "[c]") {
  const CachePolicy policy = load_policy("default").with_budget("25%").with_interval(32);
  PolicySequence sequence(policy, {{0, 2, kSize, kSize, 0}, {1, 1, kSize, kSize, 12}});
  for (int first = 0; first < 64; first += 16) feed(sequence, first);
  sequence.update();
  feed(sequence, 64);
  const std::vector<std::byte> saved = sequence.save();
  PolicySequence again(policy, sequence.layers());
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, saved.size() / 2, saved.size() - 1}) {
    REQUIRE_THROWS_AS(again.restore(std::span(saved).first(size)), std::runtime_error);
    REQUIRE(again.tokens_seen() == 0);
  }
  again.restore(saved);
  for (PolicySequence* one : {&sequence, &again}) {
    feed(*one, 80);
    one->update();
  }
  REQUIRE(again.save() == sequence.save());
  PolicySequence other(load_policy("h2o").with_budget("25%"), sequence.layers());
  REQUIRE_THROWS_AS(other.restore(saved), std::runtime_error);
}

TEST_CASE("scores are the policy's, of what each head holds", "[c]") {
  const CachePolicy policy = load_policy("knorm").with_budget("30").with_protection(1, 1);
  PolicySequence sequence(policy, {{0, 2, 2, 2, 0}, {1, 2, 2, 2, 8}});
  const std::vector<float> keys = {3, 4, 0, 1, 6, 8, 0, 2, 5, 12, 0, 3};  // norms 5, 10, 13 and 1, 2, 3
  const TokenRows rows{keys.data(), 4, nullptr, 0};
  CHECK(sequence.scores(0, 0).empty());
  for (const int layer : {0, 1}) sequence.append(layer, positions_from(0, 3), rows);
  CHECK(sequence.scores(0, 0) == std::vector<float>{-5, -10, -13});
  CHECK(sequence.scores(0, 1) == std::vector<float>{-1, -2, -3});
  REQUIRE_THROWS_AS(sequence.scores(0, 2), std::invalid_argument);
  REQUIRE_THROWS_AS(sequence.scores(1, 0), std::invalid_argument);  // a window: nobody decides
  REQUIRE_THROWS_AS(PolicySequence(load_policy("full"), {{0, 1, 4, 4, 0}}).scores(0, 0), std::invalid_argument);
}

TEST_CASE("sequences refuse shapes and tokens that cannot be", "[c]") {
  const CachePolicy policy = load_policy("knorm").with_budget("30");
  REQUIRE_THROWS_AS(PolicySequence(policy, {}), std::invalid_argument);
  REQUIRE_THROWS_AS(PolicySequence(policy, {{1, 1, 4, 4, 0}, {1, 1, 4, 4, 0}}), std::invalid_argument);
  REQUIRE_THROWS_AS(PolicySequence(policy, {{0, 0, 4, 4, 0}}), std::invalid_argument);
  REQUIRE_THROWS_AS(PolicySequence(policy, {{0, 1, 4, 4, 100}}), std::invalid_argument);  // every layer has a window
  REQUIRE_THROWS_AS(PolicySequence(policy.with_budget("8"), {{0, 1, 4, 4, 0}}), std::invalid_argument);
  PolicySequence sequence(policy, {{0, 1, 4, 4, 0}});
  REQUIRE_THROWS_AS(sequence.append(0, positions_from(0, 3), {}), std::invalid_argument);  // keys are missing
  REQUIRE(sequence.tokens_seen() == 0);
  REQUIRE_THROWS_AS(sequence.positions(0, 1), std::invalid_argument);
}
