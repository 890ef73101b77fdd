#include <algorithm>

#include "calibrate/targets.hpp"
#include "scripted_host.hpp"
#include "tasks/random.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;

namespace {

std::string text_of(const Host& host, const Passage& passage) {
  std::vector<Token> all = passage.context;
  all.insert(all.end(), passage.tail.begin(), passage.tail.end());
  return host.detokenize(all);
}
/// What the watched positions write: the tokens behind them.
std::string written(const Host& host, const Passage& passage, const PositionRange& range) {
  return text_of(host, passage)
      .substr(static_cast<std::size_t>(range.begin) + 1, static_cast<std::size_t>(range.end - range.begin));
}

}  // namespace

TEST_CASE("Reconstruction repeats the context and watches the repetition") {
  const scripted::Host host;
  const Passage passage = make_passage(host, Target::reconstruction, {"abcdefgh", "", ""}, 5, true, 1);
  CHECK(host.detokenize(passage.context) == "\x01[abcde");
  CHECK(host.detokenize(passage.tail) == "\n\nRepeat the text above, word for word.]abcde");
  REQUIRE(passage.queries.size() == 1);
  CHECK(written(host, passage, passage.queries[0]) == "abcde");
  CHECK(make_passage(host, Target::reconstruction, {"abcdefgh", "", ""}, 0, false, 1).context.size() == 9);
}

TEST_CASE("Later tokens watch the context itself") {
  const scripted::Host host;
  const Passage passage = make_passage(host, Target::later, {"abcdefgh", "", ""}, 0, false, 1);
  CHECK(passage.tail.empty());
  REQUIRE(passage.queries.size() == 1);
  CHECK(passage.queries[0].begin == 0);
  CHECK(passage.queries[0].end == 9);
}

TEST_CASE("Answers are watched where they are written") {
  const scripted::Host host;
  const Passage passage = make_passage(host, Target::answers, {"some text", " why?", " because"}, 0, true, 1);
  REQUIRE(passage.queries.size() == 1);
  CHECK(written(host, passage, passage.queries[0]) == " because");
  CHECK(text_of(host, passage) == "\x01[some text why?] because");
  CHECK_THROWS_WITH(make_passage(host, Target::answers, {"some text", "", ""}, 0, true, 1),
                    Contains("needs prompts with answers"));
}

TEST_CASE("Planted facts are in the context and asked for in the tail") {
  const scripted::Host host;
  const std::string body(300, '.');
  const Passage passage = make_passage(host, Target::planted, {body, "", ""}, 0, true, 7);
  const std::string context = host.detokenize(passage.context);
  CHECK(std::count(context.begin(), context.end(), '.') == 300);
  REQUIRE(passage.queries.size() == 6);
  for (const PositionRange& range : passage.queries) CHECK_THAT(context, Contains(written(host, passage, range)));
  CHECK(tasks::hash_text(context) == 0x1f47671458a05fcb);  // whatever compiler built it
  CHECK(make_passage(host, Target::planted, {body, "", ""}, 0, true, 7).context == passage.context);
  CHECK(make_passage(host, Target::planted, {body, "", ""}, 0, true, 8).context != passage.context);
}

TEST_CASE("Targets have names") {
  for (const Target target : {Target::reconstruction, Target::later, Target::planted, Target::answers})
    CHECK(parse_target(to_string(target)) == target);
  CHECK_THROWS_AS(parse_target("future"), std::invalid_argument);
}
