#include "report/run_curve.hpp"

#include <cmath>
#include <sstream>

#include "tests/check.hpp"

using namespace namm;
using namespace namm::report;

namespace {

evolve::Checkpoint run_of(int generations) {
  evolve::Checkpoint out;
  out.settings = {{"model", "m.gguf"}, {"tasks", {"passkey", "vt"}}, {"strategy", "cma"}, {"unknown", 1}};
  out.generation = generations;
  out.start_validation = 0.25;
  out.best_validation = 0.75;
  out.best_generation = 2;
  for (int g = 1; g <= generations; ++g)
    out.history.push_back({{"generation", g},
                           {"fitness", {{"best", 0.1 * g}, {"mean", 0.05 * g}, {"spread", nullptr}}},
                           {"step_size", 0.5},
                           {"best_validation", 0.75}});
  return out;
}

}  // namespace

TEST_CASE("run curve: a point per generation, and what a line does not say is unknown") {
  evolve::Checkpoint run = run_of(3);
  run.history[1]["validation"] = {{"mean", 0.4}, {"candidate", 0.6}};
  run.history.push_back("no generation");
  const auto points = run_points(run);
  REQUIRE(points.size() == 3);
  CHECK(points[1].generation == 2);
  CHECK(points[1].best == 0.2);
  CHECK(points[1].mean == 0.1);
  CHECK(points[1].step_size == 0.5);
  CHECK(points[1].validation_mean == 0.4);
  CHECK(points[1].validation_candidate == 0.6);
  CHECK(points[1].kept == 0.75);
  CHECK(std::isnan(points[1].spread));
  CHECK(std::isnan(points[0].validation_mean));
}

TEST_CASE("sparkline: from the lowest to the highest, each column the mean of its share") {
  CHECK(sparkline(std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}, 60) == "▁▂▃▄▅▆▇█");
  CHECK(sparkline(std::vector<double>{0, 2, 6, 8}, 2) == "▁█");  // 1 and 7
  CHECK(sparkline(std::vector<double>{0, 4, 2, 2, 8, 0, 3, 5}, 4) == "▁▁██");
  CHECK(sparkline(std::vector<double>{1, NAN, 3}, 60) == "▁ █");
  CHECK(sparkline(std::vector<double>{1, NAN, 3, 3}, 2) == "▁█");  // the mean of what is known
  CHECK(sparkline(std::vector<double>{2, 2}, 60) == "▅▅");
  CHECK(sparkline({}, 60).empty());
}

TEST_CASE("run curve: what is printed is what the run says, at most two dozen rows and the last generation") {
  std::ostringstream out;
  print_run(out, "runs/mine", run_of(50), TableFormat::text);
  const std::string text = out.str();
  CAPTURE(text);
  for (const char* part : {"evolution runs/mine, 50 generations", "model m.gguf; tasks passkey, vt; strategy cma",
                           "start 0.2500, best 0.7500 (generation 2)", "0.1000 .. 5.0000", "every 3th generation and the last"})
    CHECK(text.find(part) != std::string::npos);
  CHECK(text.find("unknown") == std::string::npos);
  int rows = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) rows += line.find("0.7500") != std::string::npos ? 1 : 0;
  CHECK(rows == 2 + 17 + 1);  // the sentence and the curve; generations 1, 4, ... 49; the last
}
