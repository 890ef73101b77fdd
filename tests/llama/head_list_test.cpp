// Memory by the page, and the list of one head at and around the size of a block.
#include "adapters/llama_cpp/store/head_list.hpp"

#include <unistd.h>

#include <cstring>
#include <numeric>
#include <random>

#include "adapters/llama_cpp/store/page_buffer.hpp"
#include "adapters/llama_cpp/store/page_region.hpp"
#include "kernels/half.hpp"
#include "tests/check.hpp"
#include "tests/llama/process_memory.hpp"

using namespace namm;
using namespace namm::llama;
using namespace namm::test;

TEST_CASE("PageBuffer grows, shrinks and gives back", "[llama][pages]") {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  PageBuffer buffer;
  CHECK(buffer.mapped() == 0);
  CHECK(buffer.data() == nullptr);
  buffer.resize(1);
  CHECK(buffer.mapped() == page);
  for (std::size_t i = 0; i < page; ++i) REQUIRE(buffer.data()[i] == std::byte{0});
  std::memset(buffer.data(), 7, page);
  buffer.resize(page + 1);
  CHECK(buffer.mapped() == 2 * page);
  CHECK(buffer.data()[page - 1] == std::byte{7});
  CHECK(buffer.data()[page] == std::byte{0});
  std::memset(buffer.data(), 9, 2 * page);
  buffer.resize(page);
  CHECK(buffer.mapped() == page);
  buffer.resize(2 * page);
  CHECK(buffer.data()[page - 1] == std::byte{9});
  CHECK(buffer.data()[page] == std::byte{0});  // what was given up does not come back
  PageBuffer other(std::move(buffer));
  CHECK(other.mapped() == 2 * page);
  CHECK(other.data()[0] == std::byte{9});
  other.resize(0);
  CHECK(other.mapped() == 0);
  CHECK(other.data() == nullptr);
}

TEST_CASE("PageBuffer: mapped() is what the process holds", "[llama][pages]") {
  if (anonymous_bytes() < 0) return;
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  const std::int64_t before = anonymous_bytes();
  const auto growth = [&] { return static_cast<double>(anonymous_bytes() - before); };
  PageBuffer buffer;
  buffer.resize(kBytes);
  CHECK(growth() < 1e6);  // untouched
  std::memset(buffer.data(), 1, kBytes);
  CHECK(growth() == Approx(kBytes).margin(1e6));
  buffer.resize(kBytes / 4);
  CHECK(growth() == Approx(kBytes / 4).margin(1e6));
  buffer.resize(0);
  CHECK(growth() < 1e6);
}

TEST_CASE("PageRegion: buffers grow beside each other, and shrink", "[llama][pages]") {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto region = std::make_shared<PageRegion>();
  std::vector<RegionBuffer> buffers;
  for (int b = 0; b < 9; ++b) buffers.emplace_back(region);
  std::mt19937 draw(4);
  std::vector<std::vector<std::byte>> expected(buffers.size());
  for (int step = 0; step < 400; ++step) {
    const std::size_t b = draw() % buffers.size();
    const std::size_t before = expected[b].size(), bytes = draw() % (step % 5 == 0 ? 40 * page : before + 2 * page);
    buffers[b].resize(bytes);
    expected[b].resize((bytes + page - 1) / page * page);
    REQUIRE(buffers[b].mapped() == expected[b].size());
    for (std::size_t i = std::min(before, expected[b].size()); i < expected[b].size(); ++i)
      REQUIRE(buffers[b].data()[i] == std::byte{0});  // what was given up does not come back
    if (bytes > 0) {
      const auto mark = static_cast<std::byte>(draw());
      std::fill(expected[b].begin(), expected[b].end(), mark);
      std::memset(buffers[b].data(), static_cast<int>(mark), expected[b].size());
    }
    for (std::size_t other = 0; other < buffers.size(); ++other)
      REQUIRE(
          (expected[other].empty() || std::memcmp(buffers[other].data(), expected[other].data(), expected[other].size()) == 0));
  }
}

TEST_CASE("PageRegion: room is address space, and what is given up is free", "[llama][pages]") {
  if (anonymous_bytes() < 0 || kFreedMemoryIsHeld) return;
  constexpr std::size_t kBytes = std::size_t{8} << 20;
  const std::int64_t before = anonymous_bytes();
  const auto growth = [&] { return static_cast<double>(anonymous_bytes() - before); };
  const auto region = std::make_shared<PageRegion>();
  RegionBuffer small(region), large(region);
  small.resize(100);
  small.data()[0] = std::byte{1};
  for (std::size_t bytes = kBytes / 64; bytes <= kBytes; bytes += kBytes / 64) {
    large.resize(bytes);
    std::memset(large.data(), 1, bytes);
  }
  CHECK(growth() == Approx(kBytes).margin(1e6));
  large.resize(kBytes / 8);
  CHECK(growth() == Approx(kBytes / 8).margin(1e6));
  large.resize(0);
  CHECK(growth() < 1e6);
  CHECK(small.data()[0] == std::byte{1});
}

TEST_CASE("what the system lacks is said", "[llama][pages]") {
  CHECK_THAT(memory_refused(4096, 65525, 65530),
             Contains("65525 mappings of at most 65530") && Contains("vm.max_map_count=262120"));
  CHECK_THAT(memory_refused(4096, 900, 65530), Contains("4096 bytes") && !Contains("max_map_count"));
  const auto region = std::make_shared<PageRegion>();
  RegionBuffer buffer(region);
  buffer.resize(10);
  buffer.data()[0] = std::byte{5};
  CHECK_THROWS_WITH(buffer.resize(std::size_t{1} << 60), Contains("the system must give") && Contains("refused"));
  CHECK(buffer.data()[0] == std::byte{5});
}

TEST_CASE("HeadList around the size of a block", "[llama][list]") {
  const std::size_t count = GENERATE(0, 1, 63, 64, 65, 130);
  const std::size_t kept_count = GENERATE(0, 1, 63, 64, 65);
  if (kept_count > count) return;
  constexpr std::size_t kKey = 24, kValue = 16, kStride = 40;
  std::mt19937 draw(static_cast<unsigned>(count));
  std::vector<std::uint16_t> keys(count * kStride + 1), values(count * kStride + 1);
  for (auto& x : keys) x = static_cast<std::uint16_t>(draw() & 0x3fffu);
  for (auto& x : values) x = static_cast<std::uint16_t>(draw() & 0x3fffu);
  std::vector<std::int32_t> cells(count), positions(count);
  for (std::size_t i = 0; i < count; ++i) cells[i] = static_cast<std::int32_t>(1000 - 3 * i);
  std::iota(positions.begin(), positions.end(), 5);

  StatisticsSettings settings;
  settings.needed = Statistic::key_norm | Statistic::value_norm;
  HeadList list(kKey, kValue, settings);
  for (std::size_t at = 0; at < count;) {  // in pieces
    const std::size_t n = std::min<std::size_t>(at == 0 ? 1 : 37, count - at);
    list.append(std::span(cells).subspan(at, n), std::span(positions).subspan(at, n), {keys.data() + at * kStride, kStride},
                {values.data() + at * kStride, kStride});
    at += n;
  }
  std::vector<std::int32_t> kept(count);
  std::iota(kept.begin(), kept.end(), 0);
  const auto check = [&] {
    REQUIRE(list.size() == kept.size());
    const auto head = list.view();
    CHECK(head.count == kept.size());
    const auto statistics = list.statistics().view();
    for (std::size_t e = 0; e < kept.size(); ++e) {
      const auto from = static_cast<std::size_t>(kept[e]);
      REQUIRE(list.cells()[e] == cells[from]);
      REQUIRE(statistics.positions[e] == positions[from]);
      double square = 0;
      for (std::size_t d = 0; d < kKey; ++d) {
        REQUIRE(head.keys[e / 64 * kKey * 64 + d * 64 + e % 64] == keys[from * kStride + d]);
        square += std::pow(static_cast<double>(kernels::half_to_float(keys[from * kStride + d])), 2);
      }
      for (std::size_t d = 0; d < kValue; ++d) REQUIRE(head.values[e * kValue + d] == values[from * kStride + d]);
      REQUIRE(static_cast<double>(statistics.key_norm[e]) == Approx(std::sqrt(square)));
    }
  };
  check();
  std::shuffle(kept.begin(), kept.end(), draw);
  kept.resize(kept_count);
  std::sort(kept.begin(), kept.end());
  list.keep(kept);
  check();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  CHECK(list.kv_bytes() <= (kept_count + 63) / 64 * 64 * (kKey + kValue) * 2 + 2 * page);
}
