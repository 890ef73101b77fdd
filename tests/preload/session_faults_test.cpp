// Saved sessions and --stats on a disk that fills up, in a read-only folder, with syncs and renames that fail: the program goes
// on and says so, what was saved before is still whole, and afterwards the same bytes are written.
#include "tests/preload/attached.hpp"
#include "tests/support/faults.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;
namespace fs = std::filesystem;

#if !defined(NAMM_ASAN) && !defined(NAMM_TSAN)  // their library would have to come first
TEST_CASE("a session that cannot be saved leaves the one before", "[preload][session][faults]") {
  const Folder folder;
  const std::string model = model_file();
  const auto actions = [](const std::string& place) -> Words {
    return {"eval:0:100:1", "save_file:0:" + place + "/slot", "eval:0:100:2", "save_file:0:" + place + "/slot", "max:0"};
  };
  const auto run = [&](const std::string& place) { return attached(model, actions(place), kEvicting); };
  fs::create_directories(folder / "once");
  fs::create_directories(folder / "whole");
  REQUIRE(attached(model, {"eval:0:100:1", "save_file:0:" + (folder / "once/slot")}, kEvicting).code == 0);
  REQUIRE(run(folder / "whole").out == "199\n");
  const std::string first = read(folder / "once/slot"), last = read(folder / "whole/slot");
  CHECK(first != last);
  for (const char* const kind : kFaults)
    for (int at = 1;; ++at) {
      const std::string place = folder / (std::string(kind) + std::to_string(at));
      CAPTURE(kind, at);
      REQUIRE(at < 2000);
      const FaultyOutcome faulty = with_fault(kind, at, place, [&] { return run(place); });
      CAPTURE(faulty.outcome.out, faulty.outcome.err);
      CHECK(faulty.outcome.code == 0);
      if (!faulty.happened) {
        CHECK(faulty.outcome.out == "199\n");
        CHECK(at > 2);
        break;
      }
      // both saves, or one
      CHECK_THAT(faulty.outcome.out, Contains("failed save\n") && Contains("199\n"));
      CHECK_THAT(faulty.outcome.err, Contains(place + "/slot: could not be written") && Contains("old content"));
      const std::string left = read(place + "/slot");
      CHECK((left.empty() || left == first || left == last));
      for (const auto& entry : fs::directory_iterator(place)) CHECK(entry.path().filename() == "slot");
      CHECK(run(place).out == "199\n");
      CHECK(read(place + "/slot") == last);
    }
}

TEST_CASE("a record of a request that a full disk took half of is no record", "[preload][faults]") {
  const Folder folder;
  const std::string model = model_file(), place = folder / "full", stats = place + "/stats.jsonl";
  Words options = kEvicting;
  options.insert(options.end(), {"--stats", stats});
  const auto run = [&] { return attached(model, {"eval:0:100:1", "step:0:5:2", "clear", "eval:0:40:3", "step:0:5:4"}, options); };
  for (const char* const kind : {"open", "write"}) {
    CAPTURE(kind);
    const FaultyOutcome faulty = with_fault(kind, 2, place, run);
    CAPTURE(faulty.outcome.err);
    CHECK(faulty.happened);
    CHECK(faulty.outcome.code == 0);
    CHECK_THAT(faulty.outcome.err, Contains("--stats " + stats + ": must be writable, is not"));
  }
  REQUIRE(run().code == 0);
  CHECK(parse_lines(read(stats)).size() >= 3);  // every line is one
}
#endif
