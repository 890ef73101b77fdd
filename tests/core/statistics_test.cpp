#include "namm/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/spectrogram.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

bool same(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void check_same(const HeadTokens& a, const HeadTokens& b) {
  CHECK(std::equal(a.positions.begin(), a.positions.end(), b.positions.begin(), b.positions.end()));
  CHECK(same(a.spectrogram, b.spectrogram));
  CHECK(same(a.accumulated, b.accumulated));
  CHECK(same(a.queries_seen, b.queries_seen));
  CHECK(same(a.last_row, b.last_row));
  CHECK(same(a.window_mean, b.window_mean));
  CHECK(same(a.key_norm, b.key_norm));
  CHECK(same(a.value_norm, b.value_norm));
  CHECK(same(a.content, b.content));
}

/// The same statistics by brute force, in double: a full signal per token, held for ever.
class Slow {
 public:
  void append(std::int32_t position) { signals_[position].assign(static_cast<std::size_t>(rows_), 0.0); }
  void observe(std::span<const std::int32_t> positions, std::span<const float> row) {
    ++rows_;
    for (std::size_t i = 0; i < positions.size(); ++i) signals_[positions[i]].push_back(row[i]);
  }
  double accumulated(std::int32_t position) const {
    double sum = 0;
    for (const double value : signals_.at(position)) sum += value;
    return sum;
  }
  double window_mean(std::int32_t position, int window) const {
    const std::vector<double>& signal = signals_.at(position);
    const int used = std::min(window, rows_);
    double sum = 0;
    for (int i = 0; i < used; ++i) sum += signal[signal.size() - 1 - static_cast<std::size_t>(i)];
    return sum / used;
  }
  double last(std::int32_t position) const { return signals_.at(position).back(); }
  double spectrogram(std::int32_t position, int bin) const {
    const std::vector<double>& signal = signals_.at(position);
    const double decay = std::pow(double{0.99f}, 16);
    double ema = 0;
    for (int frame = 0; (frame + 1) * 16 <= rows_; ++frame) {
      double re = 0, im = 0;
      for (int m = 0; m < 32; ++m) {
        const int row = frame * 16 - 16 + m;
        const double x = row < 0 ? 0 : signal[static_cast<std::size_t>(row)];
        const double window = 0.5 * (1 - std::cos(2 * M_PI * m / 32));
        re += window * x * std::cos(2 * M_PI * bin * m / 32);
        im += window * x * std::sin(2 * M_PI * bin * m / 32);
      }
      ema = decay * ema + (1 - decay) * std::sqrt(re * re + im * im);
    }
    return ema;
  }

 private:
  std::map<std::int32_t, std::vector<double>> signals_;
  int rows_ = 0;
};

}  // namespace

TEST_CASE("Statistics agree with a brute-force model over appends, rows and evictions") {
  std::mt19937 random(GENERATE(1, 2, 3));
  const int window = 5;
  HeadStatistics fast(samples::needing(samples::everything(), window));
  Slow slow;
  std::int32_t next = 0;
  std::vector<std::int32_t> all_queries;
  for (int step = 0; step < 12; ++step) {
    const std::size_t count = std::uniform_int_distribution<std::size_t>(1, 40)(random);
    const std::vector<std::int32_t> added = samples::range(next, count);
    const std::vector<float> keys = samples::norms(random, count), values = samples::norms(random, count);
    fast.append(added, keys, values, values);
    for (const std::int32_t position : added) slow.append(position);
    const std::vector<float> rows = samples::attention(random, fast.view().positions, next, static_cast<int>(count));
    fast.observe(rows, static_cast<int>(count), fast.size(), next);
    for (std::size_t row = 0; row < count; ++row) {
      slow.observe(fast.view().positions, std::span(rows).subspan(row * fast.size(), fast.size()));
    }
    next += static_cast<std::int32_t>(count);

    const HeadTokens view = fast.view();
    double worst = 0;
    for (std::size_t i = 0; i < view.size(); ++i) {
      const std::int32_t position = view.positions[i];
      const double accumulated = slow.accumulated(position);
      worst = std::max(worst, std::abs(view.accumulated[i] - accumulated) / std::max(1.0, accumulated));
      worst = std::max(worst, std::abs(view.window_mean[i] - slow.window_mean(position, window)));
      worst = std::max(worst, std::abs(view.last_row[i] - slow.last(position)));
      for (int k = 0; k < kBins; ++k) {
        worst =
            std::max(worst, std::abs(view.spectrogram[i * kBins + static_cast<std::size_t>(k)] - slow.spectrogram(position, k)));
      }
      CHECK(view.queries_seen[i] == static_cast<float>(next - position));
    }
    CHECK(worst < 2e-6);
    std::vector<std::int32_t> kept;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(fast.size()); ++i) {
      if (random() % 3 != 0 || i + 1 == static_cast<std::int32_t>(fast.size())) kept.push_back(i);
    }
    if (step % 2 == 1) fast.keep(kept);
  }
}

TEST_CASE("observe gives the same bits however the rows are split") {
  const int split = GENERATE(1, 3, 15, 16, 17, 64, 100);
  std::mt19937 random(4);
  HeadStatistics whole(samples::needing(samples::everything(), 7)), parts(samples::needing(samples::everything(), 7));
  for (std::int32_t first = 0; first < 300; first += 100) {
    const std::vector<float> keys = samples::norms(random, 100), values = samples::norms(random, 100);
    for (HeadStatistics* one : {&whole, &parts}) one->append(samples::range(first, 100), keys, values, values);
    const std::vector<float> rows = samples::attention(random, whole.view().positions, first, 100);
    const std::size_t tokens = whole.size();
    whole.observe(rows, 100, tokens, first);
    for (int row = 0; row < 100; row += split) {
      const auto from = std::span<const float>(rows).subspan(static_cast<std::size_t>(row) * tokens);
      parts.observe(from, std::min(split, 100 - row), tokens, first + row);
    }
    check_same(whole.view(), parts.view());
    const std::vector<std::int32_t> kept = {0, 3, 50, 51, static_cast<std::int32_t>(tokens) - 1};
    whole.keep(kept);
    parts.keep(kept);
    check_same(whole.view(), parts.view());
  }
}

TEST_CASE("Sums and the newest rows say what all rows say") {
  const int count = GENERATE(1, 5, 40, 100);
  constexpr int kWindow = 7;
  std::mt19937 random(4);
  const StatisticSet needed = Statistic::accumulated | Statistic::queries_seen | Statistic::last_row | Statistic::window_mean;
  HeadStatistics whole(samples::needing(needed, kWindow)), parts(samples::needing(needed, kWindow));
  for (std::int32_t first = 0; first < 3 * count; first += count) {
    for (HeadStatistics* one : {&whole, &parts}) one->append(samples::range(first, count), {}, {});
    const std::vector<float> rows = samples::attention(random, whole.view().positions, first, count);
    const std::size_t tokens = whole.size();
    whole.observe(rows, count, tokens, first);
    std::vector<float> sums(tokens);
    for (std::size_t i = 0; i < rows.size(); ++i) sums[i % tokens] += rows[i];
    const int newest = std::min(count, kWindow);
    const std::span<const float> last = std::span(rows).last(static_cast<std::size_t>(newest) * tokens);
    REQUIRE(parts.rows_wanted(count).newest == newest);
    parts.observe_part({count, sums, last, tokens, {}});
    for (std::size_t i = 0; i < tokens; ++i) {
      CHECK(parts.view().accumulated[i] == Approx(whole.view().accumulated[i]).margin(1e-6));
      CHECK(parts.view().window_mean[i] == Approx(whole.view().window_mean[i]).margin(1e-6));
      CHECK(parts.view().last_row[i] == whole.view().last_row[i]);
      CHECK(parts.view().queries_seen[i] == whole.view().queries_seen[i]);
    }
    CHECK_THROWS_WITH(parts.observe_part({count, sums, {}, tokens, {}}), Contains("rows at both ends"));
    CHECK_THROWS_WITH(parts.observe_part({count, {}, last, tokens, {}}), Contains("sums of all rows"));
  }
}

TEST_CASE("Of 512 rows statistics want the 16 or more at both ends, and frames of the others") {
  std::mt19937 random(4);
  HeadStatistics statistics(samples::needing(Statistic::spectrogram));
  for (const int waiting : {0, 1, 15}) {
    samples::feed(statistics, random, static_cast<std::int32_t>(statistics.size()),
                  static_cast<std::size_t>(waiting - statistics.waiting_rows()));
    const RowsAtHand wanted = statistics.rows_wanted(512);
    CHECK(wanted.first == (waiting == 0 ? 16 : 32 - waiting));
    CHECK(wanted.newest == 16 + waiting);
    CHECK(wanted.hops == (waiting == 0 ? 32 : 31));
    CHECK(statistics.rows_wanted(48).hops == 0);
  }
}

TEST_CASE("Frames of the rows between, and the rows at both ends, say what all rows say of the spectrogram") {
  const int waiting = GENERATE(0, 1, 15), window = GENERATE(0, 7, 40);
  CAPTURE(waiting, window);
  StatisticSet needed = Statistic::spectrogram | Statistic::accumulated;
  if (window > 0) needed = needed | Statistic::window_mean | Statistic::last_row;
  std::mt19937 random(4);
  HeadStatistics whole(samples::needing(needed, std::max(window, 1))), parts(samples::needing(needed, std::max(window, 1)));
  samples::feed(whole, random, 0, 100);
  std::mt19937 again(4);
  samples::feed(parts, again, 0, 100);
  std::int32_t first = 100;
  int with_frames = 0;
  for (const int count : {12 + waiting, 1, 16, 31, 64, 65, 128, 100, 3, 300}) {
    for (HeadStatistics* one : {&whole, &parts}) one->append(samples::range(first, static_cast<std::size_t>(count)), {}, {});
    const std::vector<float> rows = samples::attention(random, whole.view().positions, first, count);
    const std::size_t tokens = whole.size();
    const RowsAtHand wanted = parts.rows_wanted(count);
    REQUIRE(wanted.first + wanted.newest <= count);
    std::vector<float> at_hand(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(wanted.first * tokens)), frames,
        sums(tokens);
    at_hand.insert(at_hand.end(), rows.end() - static_cast<std::ptrdiff_t>(wanted.newest * tokens), rows.end());
    for (std::size_t i = 0; i < rows.size(); ++i) sums[i % tokens] += rows[i];
    if (wanted.hops > 0) {
      ++with_frames;
      frames.assign(tokens * kBins, 0);
      for (int frame = 1; frame < wanted.hops; ++frame) {
        std::vector<float> signal, magnitudes(tokens * kBins);
        for (std::size_t i = 0; i < tokens; ++i)
          for (int m = 0; m < 2 * kHop; ++m)
            signal.push_back(rows[static_cast<std::size_t>(wanted.hops_from + (frame - 1) * kHop + m) * tokens + i]);
        kernels::spectrogram_magnitudes(signal.data(), magnitudes.data(), tokens);
        const double decay = std::pow(0.99, kHop), weight = (1 - decay) * std::pow(decay, wanted.hops - 1 - frame);
        for (std::size_t i = 0; i < frames.size(); ++i) frames[i] += static_cast<float>(weight * magnitudes[i]);
      }
      CHECK_THROWS_WITH(parts.observe_part({count, sums, at_hand, tokens, {}}), Contains("frames"));
    }
    whole.observe(rows, count, tokens, first);
    parts.observe_part({count, sums, at_hand, tokens, frames});
    REQUIRE(parts.waiting_rows() == whole.waiting_rows());
    for (std::size_t i = 0; i < tokens * kBins; ++i)
      CHECK(parts.view().spectrogram[i] == Approx(whole.view().spectrogram[i]).margin(1e-6));
    for (std::size_t i = 0; i < tokens; ++i)
      CHECK(parts.view().accumulated[i] == Approx(whole.view().accumulated[i]).margin(1e-5));
    if (window > 0)
      for (std::size_t i = 0; i < tokens; ++i)
        CHECK(parts.view().window_mean[i] == Approx(whole.view().window_mean[i]).margin(1e-6));
    first += count;
    if (count != 65) continue;
    std::vector<std::int32_t> kept;  // what is waiting goes with its tokens
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(tokens); i += 3) kept.push_back(i);
    whole.keep(kept);
    parts.keep(kept);
  }
  CHECK(with_frames >= 3);
}

TEST_CASE("Tokens may arrive with their rows or before them, and strides may be wider than the tokens") {
  std::mt19937 random(5);
  HeadStatistics before(samples::needing(samples::everything())), with(samples::needing(samples::everything()));
  const std::vector<float> norms = samples::norms(random, 64);
  const std::vector<std::int32_t> positions = samples::range(0, 64);
  const std::vector<float> rows = samples::attention(random, positions, 0, 64);
  before.append(positions, norms, norms, norms);
  before.observe(rows, 64, 64, 0);
  for (std::size_t i = 0; i < 64; ++i) {
    const std::span<const float> norm = std::span(norms).subspan(i, 1);
    with.append(std::span(positions).subspan(i, 1), norm, norm, norm);
    with.observe(std::span(rows).subspan(i * 64, 64), 1, 64, static_cast<std::int32_t>(i));
  }
  check_same(before.view(), with.view());
}

TEST_CASE("keep forgets the others: what is left does not depend on them, and memory falls") {
  std::mt19937 random(6);
  HeadStatistics statistics(samples::needing(samples::everything()));
  samples::feed(statistics, random, 0, 1000);
  const std::size_t full = statistics.bytes();
  const std::vector<std::int32_t> kept = {0, 7, 500, 990, 999};
  const HeadTokens view = statistics.view();
  std::vector<float> spectrogram;
  for (const std::int32_t i : kept) {
    const std::span<const float> one = view.spectrogram.subspan(static_cast<std::size_t>(i) * kBins, kBins);
    spectrogram.insert(spectrogram.end(), one.begin(), one.end());
  }
  const float accumulated = view.accumulated[500];
  statistics.keep(kept);
  CHECK(statistics.size() == 5);
  CHECK(same(statistics.view().spectrogram, spectrogram));
  CHECK(statistics.view().accumulated[2] == accumulated);
  CHECK(statistics.bytes() < full / 50);
  statistics.keep({});
  CHECK(statistics.size() == 0);
  CHECK(statistics.view().spectrogram.empty());
}

TEST_CASE("Statistics that were not asked for cost nothing") {
  std::mt19937 random(7);
  HeadStatistics none(samples::needing({})), spectrogram(samples::needing(Statistic::spectrogram));
  none.append(samples::range(0, 4096), {}, {});
  CHECK(none.view().size() == 4096);
  CHECK(none.view().spectrogram.empty());
  CHECK(none.bytes() <= 4096 * 4 * 9 / 8 + 16);
  spectrogram.append(samples::range(0, 4096), {}, {});
  const std::vector<float> rows = samples::attention(random, spectrogram.view().positions, 4064, 32);
  spectrogram.observe(rows, 32, 4096, 4064);
  CHECK(spectrogram.bytes() <= 4096 * (4 + 68 + 64) * 9 / 8 + 4096);
}

TEST_CASE("Statistics refuse what breaks their contract") {
  StatisticsSettings settings = samples::needing(Statistic::key_norm | Statistic::accumulated);
  HeadStatistics statistics(settings);
  const std::vector<float> norms(3, 1.0f), rows(9, 0.1f);
  CHECK_THROWS_AS(statistics.append(samples::range(0, 3), {}, {}), std::invalid_argument);
  CHECK(statistics.size() == 0);
  statistics.append(samples::range(0, 3), norms, {});
  CHECK_THROWS_AS(statistics.append(samples::range(2, 3), norms, {}), std::invalid_argument);
  CHECK_THROWS_AS(statistics.append(std::vector<std::int32_t>{5, 5, 6}, norms, {}), std::invalid_argument);
  CHECK(statistics.size() == 3);
  CHECK_THROWS_AS(statistics.observe(rows, 4, 3, 0), std::invalid_argument);  // too few values
  CHECK_THROWS_AS(statistics.observe(rows, 1, 2, 0), std::invalid_argument);  // stride below the tokens
  CHECK_THROWS_AS(statistics.observe(rows, 3, 3, 1), std::invalid_argument);  // query 3 has no token
  CHECK_THROWS_AS(statistics.observe(rows, -1, 3, 0), std::invalid_argument);
  CHECK_NOTHROW(statistics.observe(rows, 0, 3, 0));
  CHECK_THROWS_AS(statistics.keep(std::vector<std::int32_t>{1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(statistics.keep(std::vector<std::int32_t>{3}), std::invalid_argument);
  CHECK_THROWS_AS(statistics.keep(std::vector<std::int32_t>{-1}), std::invalid_argument);
  settings.spectrogram.hop = 8;
  CHECK_THROWS_AS(HeadStatistics(settings), std::invalid_argument);
  settings = samples::needing(Statistic::window_mean, 0);
  CHECK_THROWS_AS(HeadStatistics(settings), std::invalid_argument);
}

TEST_CASE("tokens that are taken back were never there") {
  std::mt19937 random(8);
  HeadStatistics twice(samples::needing(samples::everything(), 7)), once(samples::needing(samples::everything(), 7));
  for (std::int32_t first = 0; first < 120; first += 30) {
    const std::vector<float> norms = samples::norms(random, 30);
    const auto tokens = samples::range(first, 30);
    twice.append(std::span(tokens).first(20), std::span(norms).first(20), std::span(norms).first(20), std::span(norms).first(20));
    twice.append(std::span(tokens).subspan(20), std::span(norms).first(10), std::span(norms).first(10),
                 std::span(norms).first(10));
    twice.take_back(30);
    check_same(twice.view(), once.view());
    for (HeadStatistics* one : {&twice, &once}) one->append(tokens, norms, norms, norms);
    const std::vector<float> rows = samples::attention(random, once.view().positions, first, 30);
    for (HeadStatistics* one : {&twice, &once}) one->observe(rows, 30, once.size(), first);
    check_same(twice.view(), once.view());
  }
  CHECK_THROWS_WITH(twice.take_back(121), Contains("are 120, was told 121"));
}
