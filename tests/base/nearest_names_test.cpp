#include "base/nearest_names.hpp"

#include "base/json_limits.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("letters that changed places are one mistake, and of equally near names the one of equal length is meant") {
  const std::vector<std::string_view> options = {"--mode", "--model", "--minutes"};
  CHECK(nearest_names("--modle", options, 1) == std::vector<std::string>{"--model"});
  CHECK(nearest_names("--mdoe", options, 1) == std::vector<std::string>{"--mode"});
  CHECK(nearest_names("--mdel", options, 2) == std::vector<std::string>{"--model", "--mode"});
}

TEST_CASE("what is nothing like a name is not taken for it") {
  const std::vector<std::string_view> commands = {"evolve", "eval", "run", "report"};
  CHECK(probable_name("evla", commands) == "eval");
  CHECK(probable_name("reprot", commands) == "report");
  CHECK(probable_name("foo", commands).empty());
  CHECK(probable_name("", commands).empty());
  CHECK(probable_name("x", {}).empty());
}

TEST_CASE("JSON that is wrong or cut off is refused in our words, with the byte") {
  CHECK_THROWS_WITH(detail::parse_json("{\"a\":"), "must be JSON, is cut off after 5 bytes; copy or write the file anew");
  CHECK_THROWS_WITH(detail::parse_json("nothing"), "must be JSON, is wrong at byte 2; copy or write the file anew");
  CHECK_THROWS_WITH(detail::parse_json("{\"a\": 1e999}"), Catch::Contains("wrong at byte") && !Catch::Contains("exception"));
}

TEST_CASE("no message has the parser's tags") {
  CHECK(detail::without_tags("a.json: [json.exception.type_error.302] type must be string") == "a.json: type must be string");
  CHECK(detail::one_line("[json.exception.out_of_range.403] key\nnot found") == "key not found");
  CHECK(detail::without_tags("[json.exception.") == "");
  CHECK(detail::without_tags("plain") == "plain");
}
