#include "kernels/bam.hpp"

#include <cstring>
#include <vector>

#include "kernels/isa.hpp"
#include "tests/check.hpp"
#include "tests/kernels/fused.hpp"
#include "tests/kernels/normal.hpp"

using namespace namm::kernels;
using namm::test::normal;

namespace {

void check_equal(const std::vector<float>& got, const std::vector<float>& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (fused() ? got[i] != wanted[i] : std::abs(got[i] - wanted[i]) > 1e-4f * (1 + std::abs(wanted[i])))
      FAIL("score " << i << " of " << got.size() << " is " << got[i] << ", of the scalar twin " << wanted[i]);
  }
}

}  // namespace

TEST_CASE("BAM gives the bits of its scalar twin at every length around a tile and a block of queries") {
  for (const std::size_t width : {1u, 8u, 16u, 17u, 25u, 34u})
    for (const std::size_t tokens : {0u, 1u, 7u, 8u, 9u, 63u, 64u, 65u, 127u, 128u, 129u, 300u}) {
      INFO("width " << width << " tokens " << tokens);
      const std::vector<float> features = normal(tokens * width, 5, 1), parameters = normal(bam_parameter_count(width), 6, 0.3f);
      std::vector<float> got(tokens), wanted(tokens);
      bam_scores(features.data(), tokens, width, parameters.data(), got.data());
      scalar::bam_scores(features.data(), tokens, width, parameters.data(), wanted.data());
      check_equal(got, wanted);
    }
}

TEST_CASE("BAM of many lists, of one long list and of a population: the bits of one by one, whatever the threads") {
  constexpr std::size_t width = 25;
  const std::vector<float> features = normal(700 * width, 7, 1), parameters = normal(3 * bam_parameter_count(width), 8, 0.2f);
  std::vector<std::vector<float>> wanted;
  const std::size_t lengths[] = {700, 0, 1, 130, 64, 511};
  for (const std::size_t tokens : lengths) {
    wanted.emplace_back(tokens);
    bam_scores(features.data(), tokens, width, parameters.data(), wanted.back().data());
  }
  for (const int threads : {1, 2, 3, 5}) {
    std::vector<std::vector<float>> got;
    for (const std::size_t tokens : lengths) got.emplace_back(tokens, -7.0f);
    std::vector<BamProblem> problems;
    for (std::size_t i = 0; i < got.size(); ++i)
      problems.push_back({features.data(), lengths[i], parameters.data(), got[i].data()});
    bam_scores(problems, width, threads);
    CHECK(got == wanted);

    std::vector<float> population(3 * 130);
    bam_scores_population(features.data(), 130, width, parameters.data(), 3, population.data(), threads);
    for (std::size_t c = 0; c < 3; ++c) {
      std::vector<float> one(130);
      bam_scores(features.data(), 130, width, parameters.data() + c * bam_parameter_count(width), one.data());
      CHECK(std::memcmp(one.data(), population.data() + c * 130, 130 * sizeof(float)) == 0);
    }
  }
}
