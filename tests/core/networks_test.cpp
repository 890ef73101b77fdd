#include <cmath>
#include <random>

#include "core/networks/score_network.hpp"
#include "golden.hpp"
#include "kernels/bam.hpp"
#include "kernels/spectrogram.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

std::vector<float> normal(std::mt19937& random, std::size_t count, float sigma) {
  std::normal_distribution<float> distribution(0.0f, sigma);
  std::vector<float> out(count);
  for (float& value : out) value = distribution(random);
  return out;
}

/// Spec section 5 as it is written, in double.
std::vector<float> slow_bam(const std::vector<float>& features, std::size_t tokens, std::size_t width,
                            const std::vector<float>& p) {
  const std::size_t qkv_bias = width * 96, out_weights = qkv_bias + 96, out_bias = out_weights + 64 * width;
  const std::size_t weights = out_bias + 2 * width;
  std::vector<std::vector<double>> qkv(tokens, std::vector<double>(96));
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t o = 0; o < 96; ++o) {
      qkv[t][o] = p[qkv_bias + o];
      for (std::size_t i = 0; i < width; ++i) qkv[t][o] += double{features[t * width + i]} * p[i * 96 + o];
    }
  }
  std::vector<float> scores(tokens);
  for (std::size_t t = 0; t < tokens; ++t) {
    std::vector<double> logit(tokens), output(32, 0.0);
    double largest = -INFINITY, sum = 0;
    for (std::size_t j = t; j < tokens; ++j) {
      for (std::size_t d = 0; d < 32; ++d) logit[j] += qkv[t][d] * qkv[j][32 + d] / std::sqrt(32.0);
      largest = std::max(largest, logit[j]);
    }
    for (std::size_t j = t; j < tokens; ++j) {
      const double weight = std::exp(logit[j] - largest);
      sum += weight;
      for (std::size_t d = 0; d < 32; ++d) output[d] += weight * qkv[j][64 + d];
    }
    double score = p[weights + width];
    for (std::size_t i = 0; i < width; ++i) {
      double residual = p[out_bias + i], factor = p[out_bias + width + i];
      for (std::size_t d = 0; d < 32; ++d) {
        residual += output[d] / sum * p[out_weights + d * 2 * width + i];
        factor += output[d] / sum * p[out_weights + d * 2 * width + width + i];
      }
      score += (features[t * width + i] * (1 + factor) + residual) * p[weights + i];
    }
    scores[t] = static_cast<float>(score);
  }
  return scores;
}

}  // namespace

TEST_CASE("every network contains the linear one: its read-out alone, and nothing else, moves a score from zero") {
  std::mt19937 random(11);
  for (const std::size_t width : {1u, 8u, 25u}) {
    const std::vector<float> features = normal(random, 40 * width, 1.0f), weights = normal(random, width + 1, 1.0f);
    std::vector<float> wanted(40), got(40);
    linear_network()->score(features, width, weights, wanted);
    for (const auto& [network, biased] : {std::pair{linear_network(), true}, std::pair{bam_network(), true},
                                          std::pair{mlp_network(1, true), true}, std::pair{mlp_network(1, false), false},
                                          std::pair{mlp_network(2, true), true}, std::pair{mlp_network(2, false), false}}) {
      std::vector<float> parameters(network->parameter_count(width));
      const std::size_t first = network->read_out(width);
      REQUIRE(parameters.size() == first + width + (biased ? 1 : 0));
      std::copy_n(weights.begin(), parameters.size() - first, parameters.begin() + static_cast<std::ptrdiff_t>(first));
      network->score(features, width, parameters, got);
      for (std::size_t t = 0; t < got.size(); ++t)
        CHECK(got[t] == Approx(wanted[t] - (biased ? 0.0f : weights.back())).margin(1e-5));
      std::fill(parameters.begin() + static_cast<std::ptrdiff_t>(first), parameters.end(), 0.0f);
      for (std::size_t i = 0; i < first; ++i) parameters[i] = 0.5f;
      network->score(features, width, parameters, got);
      CHECK(got == std::vector<float>(40, 0.0f));
    }
  }
}

TEST_CASE("BAM agrees with the formula at every length around its tiles and any width") {
  std::mt19937 random(21);
  for (const std::size_t width : {1u, 7u, 25u, 34u}) {
    for (const std::size_t tokens : {0u, 1u, 3u, 4u, 5u, 63u, 64u, 65u, 127u, 128u, 129u, 200u}) {
      INFO("width " << width << " tokens " << tokens);
      const std::vector<float> features = normal(random, tokens * width, 1.0f);
      const std::vector<float> parameters = normal(random, bam_network()->parameter_count(width), 0.2f);
      std::vector<float> got(tokens);
      bam_network()->score(features, width, parameters, got);
      const std::vector<float> wanted = slow_bam(features, tokens, width, parameters);
      double largest = 1;
      for (const float score : wanted) largest = std::max(largest, std::abs(double{score}));
      CHECK(golden::largest_error(got, wanted) <= 5e-6 * largest);
    }
  }
}

TEST_CASE("BAM: the key biases cancel, older tokens do not matter, zero weights score zero, NaN shows") {
  std::mt19937 random(22);
  const std::vector<float> features = normal(random, 150 * 25, 1.0f);
  std::vector<float> parameters = normal(random, 4172, 0.1f), scores(150), other(150), newest(50);
  const auto network = bam_network();
  const ScoreNetwork& bam = *network;
  bam.score(features, 25, parameters, scores);
  bam.score(std::span(features).subspan(100 * 25), 25, parameters, newest);
  CHECK(golden::largest_error(newest, std::span(scores).subspan(100)) <= 1e-5);
  for (std::size_t i = 2432; i < 2464; ++i) parameters[i] += 3.0f;
  bam.score(features, 25, parameters, other);
  CHECK(golden::largest_error(other, scores) <= 2e-5);
  bam.score(features, 25, std::vector<float>(4172), other);
  CHECK(other == std::vector<float>(150, 0.0f));
  std::vector<float> broken = features;
  broken[149 * 25] = NAN;
  bam.score(broken, 25, parameters, other);
  CHECK(std::isnan(other[149]));
}

TEST_CASE("BAM stands logits of any size") {
  std::mt19937 random(23);
  const std::vector<float> features = normal(random, 100 * 25, 1.0f);
  const std::vector<float> parameters = normal(random, 4172, 20.0f);
  std::vector<float> got(100);
  bam_network()->score(features, 25, parameters, got);
  const std::vector<float> wanted = slow_bam(features, 100, 25, parameters);
  CHECK(golden::largest_excess(got, wanted, 1.0, 1e-4) <= 1.0);
}

TEST_CASE("Linear and MLP networks") {
  const std::vector<float> features = {1, 2, 3, -1};
  std::vector<float> scores(2);
  linear_network()->score(features, 2, std::vector<float>{10, 1, 0.5f}, scores);
  CHECK(scores == std::vector<float>{12.5f, 29.5f});
  mlp_network(1, true)->score(features, 2, std::vector<float>{10, 1, 0.5f}, scores);
  CHECK(scores == std::vector<float>{12.5f, 29.5f});
  // W1 = [[1, 0], [0, -1]], b1 = [0, 1], w2 = [1, 1], b2 = -1
  mlp_network(2, true)->score(features, 2, std::vector<float>{1, 0, 0, -1, 0, 1, 1, 1, -1}, scores);
  CHECK(scores == std::vector<float>{1 + 1 + 2 + 0 - 1, 3 + 3 - 1 + 2 - 1});
  CHECK_THROWS_AS(mlp_network(3, true), std::invalid_argument);
}

TEST_CASE("Spectrogram kernel: every number of tokens, rows and tokens alike, nothing written beyond") {
  std::mt19937 random(24);
  for (const std::size_t tokens : {0u, 1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 100u}) {
    INFO(tokens);
    const std::vector<float> signal = normal(random, tokens * 32, 1.0f);
    std::vector<float> by_token = normal(random, tokens * 17 + 1, 1.0f), by_row = by_token, wanted = by_token;
    std::vector<std::vector<float>> rows(32, std::vector<float>(tokens));
    std::vector<const float*> pointers;
    for (std::size_t m = 0; m < 32; ++m) {
      for (std::size_t i = 0; i < tokens; ++i) rows[m][i] = signal[i * 32 + m];
      pointers.push_back(rows[m].data());
    }
    for (std::size_t i = 0; i < tokens; ++i) {
      for (std::size_t k = 0; k < 17; ++k) {
        double re = 0, im = 0;
        for (std::size_t m = 0; m < 32; ++m) {
          const double angle = 2 * M_PI * static_cast<double>(m) / 32, window = 0.5 * (1 - std::cos(angle));
          re += window * signal[i * 32 + m] * std::cos(angle * static_cast<double>(k));
          im += window * signal[i * 32 + m] * std::sin(angle * static_cast<double>(k));
        }
        wanted[i * 17 + k] = static_cast<float>(0.75 * double{wanted[i * 17 + k]} + 0.25 * std::hypot(re, im));
      }
    }
    kernels::spectrogram_frame(signal.data(), by_token.data(), tokens, 0.75f);
    kernels::spectrogram_frame_rows(pointers.data(), by_row.data(), tokens, 0.75f);
    CHECK(by_token == by_row);
    CHECK(golden::largest_error(by_token, wanted) <= 3e-6);
  }
}
