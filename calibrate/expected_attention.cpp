#include "calibrate/expected_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace namm::calibrate {
namespace {

/// The mean of the rotations at positions first .. first + count - 1: what they make of the unit vectors.
Eigen::MatrixXf mean_rotation(const Rotation& rotation, std::size_t size, std::int32_t first, std::int32_t count) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  const auto n = static_cast<Eigen::Index>(size);
  const Eigen::MatrixXf units = Eigen::MatrixXf::Identity(n, n);
  std::vector<float> turned;
  for (std::size_t p = 0; p < positions.size(); ++p) turned.insert(turned.end(), units.data(), units.data() + units.size());
  rotation.turn(turned, size, positions);
  Eigen::MatrixXf sum = Eigen::MatrixXf::Zero(n, n);
  for (std::size_t p = 0; p < positions.size(); ++p)
    sum += Eigen::Map<const Eigen::MatrixXf>(turned.data() + p * size * size, n, n);  // column j: unit vector j, turned
  return sum / static_cast<float>(count);
}

}  // namespace

void ExpectedAttention::on_tokens(const LayerTokens& tokens) {
  Layer& layer = layers_[tokens.layer];
  if (layer.keys.empty()) {
    layer.kv_heads = static_cast<std::size_t>(tokens.kv_heads);
    layer.key_size = tokens.key_size;
    if (tokens.rotation)
      layer.mean_rotation = mean_rotation(*tokens.rotation, tokens.key_size, context_tokens_, kFuturePositions);
  }
  const std::size_t width = layer.kv_heads * layer.key_size;
  const auto end = std::lower_bound(tokens.positions.begin(), tokens.positions.end(), context_tokens_);
  const auto count = static_cast<std::size_t>(end - tokens.positions.begin());
  const std::size_t before = layer.keys.size();
  layer.keys.insert(layer.keys.end(), tokens.keys, tokens.keys + count * width);
  if (tokens.rotation && count > 0)
    tokens.rotation->turn(std::span(layer.keys).subspan(before), layer.kv_heads, tokens.positions.first(count));
  for (std::size_t i = 0; i < count * layer.kv_heads; ++i)
    layer.value_norms.push_back(
        Eigen::Map<const Eigen::VectorXf>(tokens.values + i * tokens.value_size, static_cast<Eigen::Index>(tokens.value_size))
            .norm());
}

void ExpectedAttention::on_queries(const LayerQueries& queries) {
  Layer& layer = layers_.at(queries.layer);
  const auto size = static_cast<Eigen::Index>(queries.key_size);
  if (layer.sums.empty()) {
    layer.sums.assign(queries.heads, Eigen::VectorXd::Zero(size));
    layer.squares.assign(queries.heads, Eigen::MatrixXd::Zero(size, size));
  }
  layer.scale = static_cast<double>(queries.scale);
  for (std::size_t i = 0; i < queries.count(); ++i) {
    if (queries.positions[i] < kSinks || queries.positions[i] >= context_tokens_) continue;
    layer.queries += 1;
    for (std::size_t h = 0; h < queries.heads; ++h) {
      const Eigen::VectorXd q =
          Eigen::Map<const Eigen::VectorXf>(queries.queries + (i * queries.heads + h) * queries.key_size, size).cast<double>();
      layer.sums[h] += q;
      layer.squares[h].selfadjointView<Eigen::Lower>().rankUpdate(q);
    }
  }
}

PromptScores::ByHead ExpectedAttention::scores_of(const Layer& layer) const {
  const std::size_t tokens = layer.value_norms.size() / layer.kv_heads, group = layer.sums.size() / layer.kv_heads;
  PromptScores::ByHead out(layer.kv_heads, std::vector<float>(tokens));
  std::vector<double> exponents(tokens), expected(tokens);
  const auto size = static_cast<Eigen::Index>(layer.key_size);
  for (std::size_t h = 0; h < layer.kv_heads; ++h) {
    std::fill(expected.begin(), expected.end(), 0.0);
    for (std::size_t g = 0; g < group && layer.queries > 0; ++g) {
      Eigen::VectorXd mean = layer.sums[h * group + g] / layer.queries;
      Eigen::MatrixXd covariance = layer.squares[h * group + g].selfadjointView<Eigen::Lower>();
      covariance = covariance / layer.queries - mean * mean.transpose();
      if (layer.mean_rotation.size() > 0) {
        const Eigen::MatrixXd turn = layer.mean_rotation.cast<double>();
        mean = turn * mean;
        covariance = turn * covariance * turn.transpose();
      }
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (std::size_t i = kSinks; i < tokens; ++i) {
        const Eigen::VectorXd key =
            Eigen::Map<const Eigen::VectorXf>(layer.keys.data() + (i * layer.kv_heads + h) * layer.key_size, size).cast<double>();
        exponents[i] = layer.scale * mean.dot(key) + 0.5 * layer.scale * layer.scale * key.dot(covariance * key);
        largest = std::max(largest, exponents[i]);
      }
      for (std::size_t i = kSinks; i < tokens; ++i) sum += std::exp(exponents[i] - largest);
      for (std::size_t i = kSinks; i < tokens; ++i)
        expected[i] += std::exp(exponents[i] - largest) / sum / static_cast<double>(group);
    }
    for (std::size_t i = 0; i < tokens; ++i) {
      const double score = expected[i] * static_cast<double>(layer.value_norms[i * layer.kv_heads + h]);
      out[h][i] = i < kSinks ? 1e29f : static_cast<float>(std::log(score + 1e-30));
    }
  }
  return out;
}

std::map<int, PromptScores::ByHead> ExpectedAttention::scores() const {
  std::map<int, PromptScores::ByHead> out;
  for (const auto& [index, layer] : layers_) out.emplace(index, scores_of(layer));
  return out;
}

}  // namespace namm::calibrate
