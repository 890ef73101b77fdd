#include "calibrate/sources.hpp"

#include "calibrate/texts.hpp"
#include "scripted_host.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;

namespace {

/// Characters of the sources of one text: tokens, too.
std::vector<std::size_t> pieces_of(std::size_t characters) {
  Settings settings;
  settings.lengths = {40, 60};
  add_text(std::string(characters, 'x'), scripted::Host(), settings);
  std::vector<std::size_t> out;
  for (const Source& source : settings.sources) out.push_back(source.context.size());
  return out;
}

}  // namespace

TEST_CASE("A text of one's own is cut into pieces of the lengths in turn, without a rest too short to learn from") {
  CHECK(pieces_of(7) == std::vector<std::size_t>{7});
  CHECK(pieces_of(109) == std::vector<std::size_t>{40, 60});
  CHECK(pieces_of(110) == std::vector<std::size_t>{40, 60, 10});
  const std::vector<std::size_t> many = pieces_of(100000);
  CHECK(many.size() == 60);
  CHECK(many.back() == 60);
}

TEST_CASE("Made-up texts are those of the seed, long enough for the longest length") {
  Settings settings;
  settings.lengths = {40, 60};
  settings.seed = 3;
  add_made_up(2, settings);
  REQUIRE(settings.sources.size() == 2);
  CHECK(settings.sources[1].context == make_text(3, 1, 480));
}
