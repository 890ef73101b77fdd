// The order of the strategies where values are noise to a large part: the small version of experiments/strategies.
#include "experiments/strategies/noisy_quadratic.hpp"

#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"

namespace {

double mean_left(const NoisyQuadratic& setting, std::string_view name) {
  double sum = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) sum += share_left(setting, name, 16, 200, seed);
  golden::report(name, ", distance ", setting.distance, ": ", sum / 3, " left");
  return sum / 3;
}

}  // namespace

TEST_CASE("with much noise, two-point adaptation beats path length, and a fixed step size that fits beats both", "[strategy]") {
  const NoisyQuadratic near{1000, 100, 0.15, 1, false};
  const double sep_cma = mean_left(near, "sep-cma"), tpa = mean_left(near, "sep-cma-tpa"), es = mean_left(near, "es");
  CAPTURE(sep_cma, tpa, es);
  CHECK(tpa < 0.8 * sep_cma);
  CHECK(es < 0.95 * tpa);
  // Farther away the fixed step size is too small, and two-point adaptation loses nothing.
  const NoisyQuadratic far{1000, 100, 1, 1, false};
  const double far_tpa = mean_left(far, "sep-cma-tpa"), far_es = mean_left(far, "es");
  CAPTURE(far_tpa, far_es);
  CHECK(far_tpa < 0.8 * far_es);
  CHECK(far_tpa < 1.1 * tpa);
}
