#include "host/log_softmax.hpp"

#include <cmath>

#include "tests/check.hpp"

using namespace namm;

TEST_CASE("log-softmax: scipy's values, also of logits far from 0") {
  // scipy.special.log_softmax([1, 2, 3, -4])
  const std::vector<double> expected = {-2.4082124017544175, -1.4082124017544173, -0.40821240175441736, -7.408212401754417};
  for (const float shift : {0.f, 512.f, -4096.f}) {
    const std::vector<float> logits = {1 + shift, 2 + shift, 3 + shift, -4 + shift};
    const std::vector<float> all = log_softmax(logits);
    REQUIRE(all.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(log_probability(logits, static_cast<Token>(i)) == Approx(expected[i]).epsilon(1e-12));
      CHECK(all[i] == Approx(expected[i]).epsilon(1e-6));
    }
    CHECK(log_sum_exp(logits).total() == Approx(3.408212401754417 + shift).epsilon(1e-12));
  }
}

TEST_CASE("log-softmax: one token is certain, and what cannot be stays so") {
  CHECK(log_probability(std::vector<float>{7}, 0) == 0);
  const std::vector<float> logits = {0, -INFINITY, 0};
  CHECK(log_probability(logits, 0) == Approx(-std::log(2.0)));
  CHECK(log_softmax(logits)[1] == -INFINITY);
}
