#include "namm/row_format.hpp"

#include <stdexcept>

#include "tests/check.hpp"

using namespace namm;

TEST_CASE("row formats are read as they are written") {
  for (const char* const text : {"f16", "q8_0", "q4_0", "q8_0,q4_0", "f16,q8_0", "f16+1means", "q8_0,q4_0+16means"})
    CHECK(to_string(parse_row_formats(text)) == text);
  CHECK(to_string(parse_row_formats("q8_0,q8_0+4means")) == "q8_0+4means");
  for (const char* const text :
       {"", "q2_k", "f16+0means", "f16+04means", "f16+17means", "f16+-1means", "f16+means", "f16+4", "f16,"})
    CHECK_THROWS_AS(parse_row_formats(text), std::invalid_argument);
}

// 8.5 and 4.5 bits a number
TEST_CASE("means stay in 16 bits: of shorter rows they take the place of more tokens") {
  CHECK(usual_compression(parse_row_formats("f16")) == 1);
  CHECK(usual_compression(parse_row_formats("q8_0")) == Approx(16 / 8.5));
  CHECK(usual_compression(parse_row_formats("q8_0,q4_0")) == Approx(32 / 13.0));
  CHECK(usual_compression(parse_row_formats("q4_0")) == Approx(16 / 4.5));
  const auto places = [](const char* text) {
    const RowFormats formats = parse_row_formats(text);
    return tokens_of_means(formats, usual_compression(formats));
  };
  CHECK(places("q4_0") == 0);
  CHECK(places("f16+4means") == 4);
  CHECK(places("q8_0+4means") == 8);        // 7.53
  CHECK(places("q8_0,q4_0+4means") == 10);  // 9.85
  CHECK(places("q4_0+1means") == 4);        // 3.56
}
