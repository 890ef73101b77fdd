// Ask and tell from an installed package: the sphere's minimum is found.
#include <namm/strategy.hpp>

#include <cstdio>
#include <vector>

int main() {
  namm::StrategySettings settings;
  settings.dimension = 5;
  settings.step_size = 0.5;
  settings.mean = {1, 1, 1, 1, 1};
  const auto strategy = namm::make_strategy("cma", settings);
  double best = 1e9;
  for (int generation = 0; generation < 150; ++generation) {
    const namm::Candidates candidates = strategy->ask();
    std::vector<double> values;
    for (std::size_t i = 0; i < candidates.count; ++i) {
      double sum = 0;
      for (const double x : candidates[i]) sum += x * x;
      values.push_back(sum);
      if (sum < best) best = sum;
    }
    strategy->tell(values);
  }
  std::printf("best %g\n", best);
  return best < 1e-6 ? 0 : 1;
}
