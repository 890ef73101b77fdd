// The largest attention over queries and query heads against its definition, written out with plain loops in double.
#include "calibrate/largest_attention.hpp"

#include <numeric>

#include "tests/calibrate/turning.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;
using turning::kSize;

namespace {

constexpr std::size_t kCacheHeads = 2, kQueryHeads = 6, kGroup = kQueryHeads / kCacheHeads;

struct Case {
  std::vector<float> keys, queries;  // not rotated
  bool rotates = true;
  double scale = 0.5;

  std::array<double, kSize> at(const std::vector<float>& all, std::size_t heads, std::size_t token, std::size_t head) const {
    std::array<double, kSize> out{};
    for (std::size_t d = 0; d < kSize; ++d) out[d] = static_cast<double>(all[(token * heads + head) * kSize + d]);
    if (rotates) turning::turn_vector(out.data(), static_cast<double>(token));
    return out;
  }
  double probability(std::size_t query, std::size_t head, std::size_t token) const {
    if (token > query) return 0;
    const auto q = at(queries, kQueryHeads, query, head);
    const auto weight = [&](std::size_t t) {
      const auto k = at(keys, kCacheHeads, t, head / kGroup);
      return std::exp(scale * std::inner_product(q.begin(), q.end(), k.begin(), 0.0));
    };
    double sum = 0;
    for (std::size_t t = 0; t <= query; ++t) sum += weight(t);
    return weight(token) / sum;
  }
};

}  // namespace

TEST_CASE("the largest attention is what its definition says", "[calibrate][exact]") {
  constexpr std::size_t n = 29, context = 11;
  // queries of the context itself are none of the watched, if the range says so
  const auto [begin, end] = GENERATE(std::pair{14, 29}, std::pair{0, 29}, std::pair{28, 29}, std::pair{5, 12});
  Case one;
  one.rotates = GENERATE(true, false);
  one.keys.resize(n * kCacheHeads * kSize);
  one.queries.resize(n * kQueryHeads * kSize);
  for (std::size_t i = 0; i < one.keys.size(); ++i) one.keys[i] = 2 * turning::wave(i, 1.7);
  for (std::size_t i = 0; i < one.queries.size(); ++i) one.queries[i] = 2.5f * turning::wave(i, 2.3);
  LargestAttention watcher(context, {begin, end});
  const turning::Turning rotation;
  const std::vector<float> values(one.keys.size());
  for (std::size_t first = 0; first < n; first += 13) {  // in pieces
    const std::size_t count = std::min<std::size_t>(13, n - first);
    std::vector<std::int32_t> positions(count);
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
    const Rotation* const turns = one.rotates ? &rotation : nullptr;
    const std::size_t at = first * kCacheHeads * kSize;
    watcher.on_tokens({7, kCacheHeads, kSize, kSize, positions, one.keys.data() + at, values.data() + at, turns});
    watcher.on_queries({7, kQueryHeads, kSize, positions, one.queries.data() + first * kQueryHeads * kSize, 0.5f, turns});
  }
  const auto largest = watcher.largest();
  REQUIRE(largest.size() == 1);
  REQUIRE(largest.at(7).size() == kCacheHeads);
  for (std::size_t h = 0; h < kCacheHeads; ++h) {
    REQUIRE(largest.at(7)[h].size() == context);
    for (std::size_t t = 0; t < context; ++t) {
      double most = 0;
      for (std::size_t head = h * kGroup; head < (h + 1) * kGroup; ++head)
        for (int query = begin; query < end; ++query)
          most = std::max(most, one.probability(static_cast<std::size_t>(query), head, t));
      CHECK(largest.at(7)[h][t] == Approx(most).margin(2e-6));
    }
  }
}
