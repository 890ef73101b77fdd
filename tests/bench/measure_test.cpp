// What is made of timings: medians, and ratios only where repetitions are enough for them.
#include "bench/measure.hpp"

#include <sstream>
#include <stdexcept>

#include "bench/report.hpp"
#include "tests/check.hpp"

using namespace namm::bench;

namespace {

/// The first variant takes a second in every repetition, the second one `seconds`.
std::vector<BenchTiming> beside_a_second(std::vector<double> seconds) {
  return timings_of({std::vector<double>(seconds.size(), 1.0), std::move(seconds)});
}

}  // namespace

TEST_CASE("fewer than five repetitions give medians and no ratio") {
  // as measured on a busy machine: one pair was disturbed, and the middle of two ratios is no ratio
  const std::vector<BenchTiming> two = timings_of({{0.010, 0.0005}, {0.028, 0.0315}});
  CHECK(two.at(1).median == Approx(0.02975));
  CHECK(two.at(1).minimum == 0.028);
  CHECK_FALSE(two.at(0).ratio);
  CHECK_FALSE(two.at(1).ratio);
  CHECK_FALSE(beside_a_second({2, 2, 2, 2}).at(1).ratio);
  CHECK(beside_a_second({2, 2, 2, 2, 2}).at(1).ratio);
}

TEST_CASE("a ratio is the median over pairs of one repetition, with its range") {
  const std::vector<BenchTiming> quiet = beside_a_second({2.5, 3, 2, 90, 2.4});
  CHECK(quiet.at(0).ratio->median == 1);
  CHECK(quiet.at(1).ratio->median == 2.5);
  CHECK(quiet.at(1).ratio->lowest == 2);
  CHECK(quiet.at(1).ratio->highest == 90);
  // the machine slows both sides down together: pairs do not see it, medians of each side would
  const BenchRatio paired = paired_ratio(std::vector<double>{2, 4, 20, 40, 60}, std::vector<double>{1, 2, 10, 20, 30}).value();
  CHECK(paired.median == 2);
  CHECK(paired.lowest == 2);
  CHECK(paired.highest == 2);
  CHECK(paired_ratio(std::vector<double>{1, 2, 3, 4, 5, 6}, std::vector<double>(6, 1))->median == 3.5);
  CHECK_THROWS_AS(paired_ratio(std::vector<double>(5, 1), std::vector<double>(6, 1)), std::invalid_argument);
}

TEST_CASE("tables and JSON show a ratio with its range, or that there is none") {
  const BenchCase work{"bam", "a shape", {{"one", {}, 1, 1, {}}, {"other", {}, 1, 1, {}}}};
  const std::vector<BenchTiming> few = beside_a_second({2, 3}), enough = beside_a_second({2, 3, 4, 5, 6});
  CHECK_THAT(case_table(work, enough, {}), Contains("4.00 [2.00, 6.00]") && Contains("ratio [range]"));
  CHECK(case_table(work, few, {}).find("00 [") == std::string::npos);
  BenchResults results;
  results.cases = {work, work};
  results.timings = {few, enough};
  const auto json = to_json(results).at("kernels");
  CHECK(json.at(0).at("variants").at(1).at("ratio").is_null());
  CHECK(json.at(0).at("variants").at(1).at("ratio_range").is_null());
  CHECK(json.at(1).at("variants").at(1).at("ratio") == 4.0);
  CHECK(json.at(1).at("variants").at(1).at("ratio_range") == nlohmann::ordered_json({2.0, 6.0}));
  CHECK_THAT(ratio_note(2), Contains("at least 5 repetitions") && Contains("these are 2"));
  CHECK(ratio_note(5).empty());
}

TEST_CASE("tables fit 100 columns, with large numbers, too") {
  const BenchRatio ratio{123.456, 99.99, 1234.5};
  const BenchCase work{"attention-prefill", "a shape", {{"spectrogram from probabilities", {}, 9e11, 9e12, {}}}};
  std::string text = case_table(work, {{99.1234, 99.1234, ratio}}, {1e13, 1e12});
  text += model_table({"model.gguf",
                       "streaming",
                       "25%",
                       2,
                       32,
                       {{"attached, full cache", 128000, 12345.6, 1234.5, ratio, ratio, 1100000000000, 900000000}}});
  CHECK_THAT(text, Contains("123 [100, 1234]") && Contains("128000 tokens"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(line.size() <= 100);
  }
}
