// Statistics as bytes: what comes back goes on bit for bit, and bytes from strangers do no harm.
#include <random>

#include "base/bytes.hpp"
#include "namm/statistics.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

StatisticsSettings everything() {
  StatisticsSettings settings;
  settings.needed = Statistic::spectrogram | Statistic::accumulated | Statistic::queries_seen | Statistic::last_row |
                    Statistic::window_mean | Statistic::key_norm | Statistic::value_norm | Statistic::content;
  return settings;
}

/// Appends tokens one chunk after the other and shows rows of random attention.
void feed(HeadStatistics& statistics, int from, int count, int chunk) {
  std::mt19937 draw(static_cast<unsigned>(from) + 1);
  std::uniform_real_distribution<float> uniform;
  for (int at = from; at < from + count; at += chunk) {
    std::vector<std::int32_t> positions;
    for (int i = at; i < std::min(from + count, at + chunk); ++i) positions.push_back(i);
    std::vector<float> numbers(positions.size());
    for (float& x : numbers) x = uniform(draw);
    statistics.append(positions, numbers, numbers, numbers);
    std::vector<float> rows(positions.size() * statistics.size());
    for (float& x : rows) x = uniform(draw);
    statistics.observe(rows, static_cast<int>(positions.size()), statistics.size(), positions.front());
  }
}

std::vector<std::byte> bytes_of(const HeadStatistics& statistics) {
  ByteWriter count;
  statistics.save(count);
  std::vector<std::byte> out(count.count());
  ByteWriter writer{std::span(out)};
  statistics.save(writer);
  CHECK(writer.complete());
  return out;
}

}  // namespace

TEST_CASE("statistics that were saved and restored go on bit for bit", "[statistics][saved]") {
  for (const int tokens : {1, 15, 16, 33, 70}) {
    CAPTURE(tokens);
    HeadStatistics straight(everything());
    feed(straight, 0, tokens, 5);
    const std::vector<std::int32_t> kept =
        tokens > 20 ? std::vector<std::int32_t>{0, 1, 7, tokens - 1} : std::vector<std::int32_t>{0};
    straight.keep(kept);
    const auto bytes = bytes_of(straight);
    HeadStatistics restored(everything());
    ByteReader in(bytes);
    restored.restore(in);
    CHECK(in.left() == 0);
    for (HeadStatistics* const statistics : {&straight, &restored}) feed(*statistics, tokens, 40, 3);
    CHECK(bytes_of(restored) == bytes_of(straight));
  }
}

TEST_CASE("damaged statistics are refused or harmless, and change nothing where they are refused", "[statistics][saved]") {
  HeadStatistics statistics(everything());
  feed(statistics, 0, 40, 7);
  const auto whole = bytes_of(statistics);
  HeadStatistics target(everything());
  feed(target, 0, 9, 3);
  const auto before = bytes_of(target);
  for (std::size_t length = 0; length < whole.size(); length += 11) {
    ByteReader in{std::span<const std::byte>(whole).first(length)};
    CHECK_THROWS_AS(target.restore(in), std::runtime_error);
  }
  CHECK(bytes_of(target) == before);
  std::mt19937 draw(4);
  for (int i = 0; i < 2000; ++i) {
    auto damaged = whole;
    damaged[draw() % (i % 2 ? whole.size() : 200)] = static_cast<std::byte>(draw());
    HeadStatistics other(everything());
    ByteReader in(damaged);
    try {
      other.restore(in);
      feed(other, 100, 20, 4);  // whatever was taken can be worked with
    } catch (const std::exception&) {
      continue;
    }
  }
}
