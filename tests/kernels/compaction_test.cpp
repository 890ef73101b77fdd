#include "kernels/compaction.hpp"

#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/ragged_attention.hpp"
#include "tests/check.hpp"

using namespace namm::kernels;

namespace {

/// Lists of what is kept of `count` entries: nothing, all, the ends, every third, runs.
std::vector<std::vector<std::int32_t>> selections(std::int32_t count) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(count)), third, runs;
  std::iota(all.begin(), all.end(), 0);
  std::mt19937 rng(4);
  for (std::int32_t i = 0; i < count; ++i) {
    if (i % 3 == 1) third.push_back(i);
    if (i < 5 || rng() % 8 < 5) runs.push_back(i);
  }
  std::vector<std::vector<std::int32_t>> out = {{}, all, third, runs};
  if (count > 1) out.push_back({0, count - 1});
  return out;
}

}  // namespace

TEST_CASE("compaction puts every kept entry in its place, for every layout and length") {
  for (const std::int32_t count : {0, 1, 63, 64, 65, 200})
    for (const auto& kept : selections(count)) {
      INFO("entries " << count << " kept " << kept.size());
      const auto entries = static_cast<std::size_t>(count);
      constexpr std::size_t size = 24;
      const auto name = [&](std::size_t entry, std::size_t d) { return static_cast<std::uint16_t>(entry * 100 + d); };

      std::vector<std::uint16_t> blocks(blocks_of(entries) * kBlock * size, 7), rows(entries * size);
      std::vector<std::byte> apart(entries * 60, std::byte{5});
      for (std::size_t e = 0; e < entries; ++e)
        for (std::size_t d = 0; d < size; ++d) {
          blocks[(e / kBlock * size + d) * kBlock + e % kBlock] = rows[e * size + d] = name(e, d);
          std::memcpy(apart.data() + e * 60 + 2 * d, &rows[e * size + d], 2);
        }
      compact_blocks(blocks.data(), size, kept);
      compact_rows(reinterpret_cast<std::byte*>(rows.data()), 2 * size, 2 * size, kept);
      compact_rows(apart.data(), 2 * size, 60, kept);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < kept.size(); ++i)
        for (std::size_t d = 0; d < size; ++d) {
          const std::uint16_t wanted = name(static_cast<std::size_t>(kept[i]), d);
          std::uint16_t from_apart;
          std::memcpy(&from_apart, apart.data() + i * 60 + 2 * d, 2);
          wrong += blocks[(i / kBlock * size + d) * kBlock + i % kBlock] != wanted;
          wrong += rows[i * size + d] != wanted;
          wrong += from_apart != wanted;
        }
      CHECK(wrong == 0);
      for (std::size_t e = 0; e < entries; ++e) CHECK(apart[e * 60 + 2 * size] == std::byte{5});  // nothing beyond was touched
    }
}
