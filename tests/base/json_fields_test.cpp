#include "base/json_fields.hpp"

#include <cmath>

#include "tests/check.hpp"

using namespace namm::detail;
using nlohmann::json;

TEST_CASE("json fields: what may be missing or null, and what may not") {
  const json object = {{"half", 0.5}, {"tenth", 0.1}, {"null", nullptr}, {"text", "words"}, {"huge", 1e300}};
  const JsonFields fields(object, "part.");
  CHECK(fields.number_or_nan("tenth") == 0.1);  // not through a float
  CHECK(fields.wide_number("huge") == 1e300);
  CHECK(std::isnan(fields.number_or_nan("null")));
  CHECK(std::isnan(fields.number_or_nan("none")));
  CHECK(fields.text_or_empty("text") == "words");
  CHECK(fields.text_or_empty("null").empty());
  CHECK(fields.text_or_empty("none").empty());
  CHECK_THROWS_WITH(fields.number_or_nan("text"), Contains("part.text") && Contains("a number or null") && Contains("words"));
  CHECK_THROWS_WITH(fields.wide_number("null"), Contains("part.null") && Contains("finite"));
  CHECK_THROWS_WITH(fields.wide_number("none"), Contains("missing"));
  CHECK_THROWS_WITH(fields.text_or_empty("half"), Contains("part.half") && Contains("0.5"));
}

TEST_CASE("json fields: a number that is none is null, and null is none") {
  CHECK(number_or_null(0.1) == json(0.1));
  CHECK(number_or_null(NAN).is_null());
  CHECK(number_or_null(-INFINITY).is_null());
  const json object = {{"value", number_or_null(NAN)}};
  CHECK(std::isnan(JsonFields(object, "").number_or_nan("value")));
}
