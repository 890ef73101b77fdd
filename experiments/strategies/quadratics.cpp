// One row of the tables in README.md: what each strategy leaves of a noisy quadratic, the mean of the seeds and their range.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

#include "experiments/strategies/noisy_quadratic.hpp"

int main(int count, char** given) {
  if (count < 9) {
    std::fprintf(stderr,
                 "usage: quadratics N POPULATION GENERATIONS CONDITION DISTANCE NOISE SEEDS STRATEGY...\n"
                 "       a CONDITION below 0 rotates a quadratic of that condition\n");
    return 2;
  }
  NoisyQuadratic setting;
  setting.dimension = std::strtoul(given[1], nullptr, 10);
  const int population = std::atoi(given[2]), generations = std::atoi(given[3]), seeds = std::atoi(given[7]);
  setting.condition = std::abs(std::atof(given[4]));
  setting.rotated = std::atof(given[4]) < 0;
  setting.distance = std::atof(given[5]);
  setting.noise = std::atof(given[6]);
  std::string row = "| " + std::string(given[1]);
  for (int i = 2; i <= 6; ++i) row += " | " + std::string(given[i]);
  for (int i = 8; i < count; ++i) {
    std::vector<double> left;
    for (int seed = 1; seed <= seeds; ++seed)
      left.push_back(share_left(setting, given[i], population, generations, static_cast<std::uint64_t>(seed)));
    const auto [low, high] = std::minmax_element(left.begin(), left.end());
    char cell[80];
    std::snprintf(cell, sizeof cell, " | %.3g [%.3g, %.3g]", std::accumulate(left.begin(), left.end(), 0.0) / seeds, *low, *high);
    row += cell;
  }
  std::printf("%s |\n", row.c_str());
}
