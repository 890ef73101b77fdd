#include "namm/selection.hpp"

#include <random>
#include <stdexcept>

#include "tests/check.hpp"

using namm::Budget;
using namm::parse_budget;

TEST_CASE("Budgets are read") {
  using Unit = Budget::Unit;
  CHECK(parse_budget("none") == Budget{});
  CHECK(parse_budget("25%") == Budget{Unit::fraction, 0.25});
  CHECK(parse_budget("12.5%") == Budget{Unit::fraction, 0.125});
  CHECK(parse_budget("0.25") == Budget{Unit::fraction, 0.25});
  CHECK(parse_budget("1.0") == Budget{Unit::fraction, 1.0});
  CHECK(parse_budget("100%") == Budget{Unit::fraction, 1.0});
  CHECK(parse_budget("1") == Budget{Unit::tokens, 1});
  CHECK(parse_budget("256") == Budget{Unit::tokens, 256});
  CHECK(parse_budget("64MiB") == Budget{Unit::mebibytes, 64});
  CHECK(parse_budget("12.5%bytes") == Budget{Unit::byte_fraction, 0.125});
  CHECK(parse_budget("12.5 % bytes") == Budget{Unit::byte_fraction, 0.125});
  CHECK(parse_budget("0.125bytes") == Budget{Unit::byte_fraction, 0.125});
  CHECK(parse_budget("0.5MiB") == Budget{Unit::mebibytes, 0.5});
}

TEST_CASE("Budgets that make no sense are refused in one line that says what to write") {
  for (const char* text :
       {"",         " ",          "0",         "0%",          "0.0",           "-1",       "-25%", "1.5",   "101%",
        "nan",      "inf",        "1e3",       "0x10",        "25  %",         " 25%",     "64MB", "MiB",   "0MiB",
        "%",        ".",          "1.2.3",     "99999999999", "none ",         "25%%",     "1,5",  "bytes", "%bytes",
        "256bytes", "64MiBbytes", "101%bytes", "0%bytes",     "25%bytesbytes", "nonebytes"}) {
    INFO(text);
    try {
      parse_budget(text);
      FAIL("accepted");
    } catch (const std::invalid_argument& error) {
      const std::string message = error.what();
      CHECK(message.starts_with("budget: "));
      CHECK(message.find(std::string("is '") + text + "'") != std::string::npos);
      CHECK(message.find("; write ") != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
    }
  }
  CHECK_THROWS_WITH(
      parse_budget("1.5"),
      "budget: a number with a decimal point is a share and must be in (0, 1], is '1.5'; write for example 25%, 0.25, 256 "
      "(tokens per head), 64MiB, 12.5%bytes or none");
}

TEST_CASE("Budgets survive being printed") {
  CHECK(to_string(parse_budget("25%")) == "25%");
  CHECK(to_string(parse_budget("0.125")) == "12.5%");
  CHECK(to_string(parse_budget("1.0")) == "100%");
  CHECK(to_string(parse_budget("1.7%")) == "1.7%");  // a hundred times the share is not quite 1.7
  CHECK(to_string(parse_budget("256")) == "256");
  CHECK(to_string(parse_budget("64MiB")) == "64MiB");
  CHECK(to_string(parse_budget("0.125bytes")) == "12.5%bytes");
  CHECK(to_string(Budget{}) == "none");
  std::mt19937 random(1);
  std::uniform_real_distribution<double> share(1e-9, 1.0);
  for (int i = 0; i < 1000; ++i) {
    for (const Budget& budget :
         {Budget{Budget::Unit::fraction, share(random)}, Budget{Budget::Unit::byte_fraction, share(random)},
          Budget{Budget::Unit::mebibytes, 1e4 * share(random)},
          Budget{Budget::Unit::tokens, static_cast<double>(1 + random() % 100000)}}) {
      REQUIRE(parse_budget(to_string(budget)) == budget);
    }
  }
}

TEST_CASE("Budgets become tokens per head") {
  CHECK(Budget{}.tokens(1000, 0, 0) == -1);
  CHECK(parse_budget("25%").tokens(1000, 0, 0) == 250);
  CHECK(parse_budget("25%").tokens(1023, 0, 0) == 255);
  CHECK(parse_budget("29%").tokens(100, 0, 0) == 29);
  CHECK(parse_budget("1%").tokens(10, 0, 0) == 1);
  CHECK(parse_budget("256").tokens(10, 0, 0) == 256);
  CHECK(parse_budget("12.5%bytes").tokens(1000, 0, 0) == 125);
  CHECK(parse_budget("12.5%bytes").tokens(1000, 0, 0, 64.0 / 34) == 235);  // held in q8_0
  CHECK(parse_budget("12.5%bytes").tokens(1000, 0, 0, 64.0 / 18) == 444);  // in q4_0
  // 1 MiB over 90 heads of 2 * 64 * 2 bytes
  CHECK(parse_budget("1MiB").tokens(100000, 256, 90) == 45);
  CHECK_THROWS_AS(parse_budget("1MiB").tokens(100, 0, 90), std::invalid_argument);
}
