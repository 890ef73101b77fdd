#include "calibrate/texts.hpp"

#include <set>

#include "tasks/random.hpp"
#include "tests/check.hpp"

using namespace namm::calibrate;

TEST_CASE("Made-up texts are as long as asked, repeat with their numbers and differ otherwise") {
  std::set<std::string> seen;
  for (std::uint64_t seed : {1u, 2u})
    for (std::uint64_t index = 0; index < 2 * text_kinds().size(); ++index) {
      INFO(text_kinds()[index % text_kinds().size()]);
      const std::string text = make_text(seed, index, 2000);
      CHECK(text.size() >= 2000);
      CHECK(text.size() < 3000);
      CHECK(text == make_text(seed, index, 2000));
      CHECK(seen.insert(text).second);
    }
}

TEST_CASE("Made-up texts hold none of the sentences that the tasks hide") {
  for (std::uint64_t index = 0; index < text_kinds().size(); ++index) {
    const std::string text = make_text(3, index, 20000);
    for (const char* needle : {"pass key", "magic number", "The code of", "special magic", "VAR "})
      CHECK_THAT(text, !Contains(needle));
  }
}

// So that a calibration can be repeated, whatever compiler built the program.
TEST_CASE("Made-up texts stay as they are") {
  std::string all;
  for (std::uint64_t index = 0; index < 3 * text_kinds().size(); ++index) all += make_text(7, index, 1000);
  CHECK(namm::tasks::hash_text(all) == 0xf453e91a93be0c7d);
}
