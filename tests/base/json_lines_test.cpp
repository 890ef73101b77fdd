#include "base/json_lines.hpp"

#include <stdexcept>

#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm;

TEST_CASE("a file of lines is one writer's at a time, whose lines stand") {
  const namm::test::Folder folder;
  const std::string file = folder / "lines.jsonl";
  for (const JsonLines::Start start : {JsonLines::Start::afresh, JsonLines::Start::continued}) {
    JsonLines first("--json", file, start);
    first.append({{"line", 1}});
    CHECK_THROWS_WITH(JsonLines("--json", file, JsonLines::Start::afresh),
                      Contains("--json " + file) && Contains("is being written"));
    CHECK_THROWS_AS(JsonLines("--details", file, JsonLines::Start::continued), std::runtime_error);
    CHECK_THROWS_AS(require_writable("--json", file), std::runtime_error);
    first.append({{"line", 2}});
    CHECK(namm::test::parse_lines(namm::test::read(file)).size() == 2);
  }
  JsonLines("--json", file, JsonLines::Start::continued).append({{"line", 3}});
  CHECK(namm::test::parse_lines(namm::test::read(file)).size() == 3);
}
