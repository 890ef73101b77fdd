// Expected attention against its definition, written out with plain loops in double.
#include "calibrate/expected_attention.hpp"

#include <array>
#include <cmath>
#include <numeric>

#include "tests/calibrate/turning.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;

namespace {

using turning::kSize;
using turning::turn_vector;
using turning::Turning;
using turning::wave;
constexpr std::size_t kKvHeads = 2, kHeads = 4;

/// The score of `token` in KV head `head`: tokens 4 .. n-1 compete; queries 4 .. n-1 tell what is to come.
double by_definition(const std::vector<float>& keys, const std::vector<float>& values, const std::vector<float>& queries,
                     std::size_t n, std::size_t head, std::size_t token, double scale, bool rotates) {
  double score = 0;
  for (std::size_t g = 0; g < kHeads / kKvHeads; ++g) {
    const auto query = [&](std::size_t t, std::size_t d) {
      return static_cast<double>(queries[(t * kHeads + head * (kHeads / kKvHeads) + g) * kSize + d]);
    };
    std::array<double, kSize> mean{};
    std::array<std::array<double, kSize>, kSize> covariance{};
    for (std::size_t d = 0; d < kSize; ++d)
      for (std::size_t t = 4; t < n; ++t) mean[d] += query(t, d) / static_cast<double>(n - 4);
    for (std::size_t a = 0; a < kSize; ++a)
      for (std::size_t b = 0; b < kSize; ++b)
        for (std::size_t t = 4; t < n; ++t)
          covariance[a][b] += (query(t, a) - mean[a]) * (query(t, b) - mean[b]) / static_cast<double>(n - 4);
    // k' R: the key turned back by the mean rotation of the positions to come
    const auto exponent = [&](std::size_t t) {
      std::array<double, kSize> key{}, turned{};
      for (std::size_t d = 0; d < kSize; ++d) key[d] = static_cast<double>(keys[(t * kKvHeads + head) * kSize + d]);
      if (rotates) {
        for (int future = 0; future < 512; ++future) {
          auto back = key;
          turn_vector(back.data(), static_cast<double>(t) - static_cast<double>(n) - future);
          for (std::size_t d = 0; d < kSize; ++d) turned[d] += back[d] / 512;
        }
      } else {
        turned = key;
      }
      double out = 0;
      for (std::size_t a = 0; a < kSize; ++a) {
        out += scale * turned[a] * mean[a];
        for (std::size_t b = 0; b < kSize; ++b) out += 0.5 * scale * scale * turned[a] * covariance[a][b] * turned[b];
      }
      return std::exp(out);
    };
    double sum = 0;
    for (std::size_t t = 4; t < n; ++t) sum += exponent(t);
    score += exponent(token) / sum / (kHeads / kKvHeads);
  }
  double norm = 0;
  for (std::size_t d = 0; d < kSize; ++d) {
    const double v = static_cast<double>(values[(token * kKvHeads + head) * kSize + d]);
    norm += v * v;
  }
  return std::log(score * std::sqrt(norm));
}

}  // namespace

TEST_CASE("expected attention is what its definition says", "[calibrate][exact]") {
  const bool rotates = GENERATE(true, false);
  constexpr std::size_t n = 23, behind = 3;  // tokens behind the context are not read
  constexpr double scale = 0.5;
  std::vector<float> keys((n + behind) * kKvHeads * kSize), values(keys.size()), queries((n + behind) * kHeads * kSize);
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = 2 * wave(i, 1.7), values[i] = wave(i, 0.9);
  for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = 1.5f * wave(i, 2.3) + 0.4f * static_cast<float>(i % 3);
  ExpectedAttention watcher(n);
  const Turning turning;
  for (std::size_t first = 0; first < n + behind; first += 13) {  // in two pieces
    const std::size_t count = std::min<std::size_t>(13, n + behind - first);
    std::vector<std::int32_t> positions(count);
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
    LayerTokens tokens{
        7, kKvHeads, kSize, kSize, positions, keys.data() + first * kKvHeads * kSize, values.data() + first * kKvHeads * kSize};
    if (rotates) tokens.rotation = &turning;
    watcher.on_tokens(tokens);
    watcher.on_queries({7, kHeads, kSize, positions, queries.data() + first * kHeads * kSize, static_cast<float>(scale)});
  }
  const auto scores = watcher.scores();
  REQUIRE(scores.size() == 1);
  REQUIRE(scores.at(7).size() == kKvHeads);
  // the definition turns keys that are not rotated yet
  for (std::size_t h = 0; h < kKvHeads; ++h) {
    REQUIRE(scores.at(7)[h].size() == n);
    for (std::size_t t = 4; t < n; ++t)
      CHECK(scores.at(7)[h][t] == Approx(by_definition(keys, values, queries, n, h, t, scale, rotates)).margin(2e-5));
    for (std::size_t t = 0; t < 4; ++t) CHECK(scores.at(7)[h][t] > 1e20f);  // sinks first
  }
}
