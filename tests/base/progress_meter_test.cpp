#include "base/progress_meter.hpp"

#include <vector>

#include "tests/check.hpp"

using namespace namm;

namespace {

/// A meter whose clock is set by hand.
struct Watched {
  double now = 100;
  std::vector<std::string> written = {};
  ProgressMeter meter;

  explicit Watched(ProgressMeter::Form form)
      : meter(
            form, [this] { return now; }, [this](std::string_view text) { written.emplace_back(text); }) {}
};

}  // namespace

TEST_CASE("the clock of a meter starts with it: the first tick already has an honest time left") {
  Watched watched(ProgressMeter::Form::bar);
  watched.now += 10;
  watched.meter.show("reading", 1, 10);
  REQUIRE(watched.written.size() == 1);
  CHECK_THAT(watched.written[0], Contains("reading") && Contains("1/10") && Contains("10 %") && Contains("1:30 left"));
  watched.now += 10;
  watched.meter.show("another label", 2, 10);  // neither a label nor another stage begins anew
  CHECK_THAT(watched.written[1], Contains("1:20 left"));
}

TEST_CASE("pieces of different size count by their share") {
  Watched watched(ProgressMeter::Form::bar);
  watched.now += 10;
  watched.meter.show("x", 1, 2, 0.1);
  CHECK_THAT(watched.written[0], Contains("1/2") && Contains("10 %") && Contains("1:30 left"));
  CHECK(watched.meter.time_left() == "1:30 left");
}

TEST_CASE("nothing done says nothing of the time left, and nothing is divided by it") {
  Watched watched(ProgressMeter::Form::bar);
  watched.meter.show("x", 0, 5);
  CHECK_THAT(watched.written[0], Contains("0/5") && Contains("? left"));
  watched.meter.show("x", 0, 0);
  CHECK(watched.meter.time_left() == "? left");
}

TEST_CASE("where the output is no terminal a plain line comes every few seconds") {
  Watched watched(ProgressMeter::Form::lines);
  for (int i = 0; i < 100; ++i) {  // 20 seconds
    watched.now += 0.2;
    watched.meter.show("reading", static_cast<std::size_t>(i + 1), 100);
  }
  watched.meter.clear();
  CHECK(watched.written.size() >= 3);
  CHECK(watched.written.size() <= 4);
  for (const std::string& line : watched.written) {
    CHECK(line.rfind("namm: reading  ", 0) == 0);
    CHECK(line.back() == '\n');
    CHECK(line.find_first_of("\r\033") == std::string::npos);
  }
  CHECK_THAT(watched.written[0], Contains("25/100  25 %  0:15 left"));
}

TEST_CASE("a bar is erased before lines are printed; a meter that is off writes nothing") {
  Watched bar(ProgressMeter::Form::bar), off(ProgressMeter::Form::none);
  bar.meter.clear();
  CHECK(bar.written.empty());
  bar.meter.show("x", 1, 2);
  bar.meter.clear();
  CHECK(bar.written.back() == "\r\033[K");
  off.now += 60;
  off.meter.show("x", 1, 2);
  CHECK(off.written.empty());
}
