#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include <nlohmann/json_fwd.hpp>

namespace namm {

/// Turns token features into scores. Holds its shape only; the weights are handed in flat.
class ScoreNetwork {
 public:
  virtual ~ScoreNetwork() = default;
  virtual std::size_t parameter_count(std::size_t width) const = 0;
  /// Where the read-out of the features begins in the flat parameters: w [width], and behind it b if the network has one. With
  /// all others at zero the score is F w (+ b): every network contains the linear one.
  virtual std::size_t read_out(std::size_t width) const = 0;
  /// features: [scores.size()][width] row-major in position order; parameters: parameter_count(width) values.
  virtual void score(std::span<const float> features, std::size_t width, std::span<const float> parameters,
                     std::span<float> scores) const = 0;
  /// Adds the fields of a policy file that describe the shape.
  virtual void describe(nlohmann::json& fields) const = 0;
};

/// Backward attention memory (arXiv 2410.13166, section 3.3; spec section 5). Flat order: see kernels/bam.hpp. 4,172 at width 25.
std::shared_ptr<const ScoreNetwork> bam_network();
/// depth 1: s = F w (+ b). depth 2: s = (F + relu(F W1 + b1)) w2 + b2, hidden width = width, flat W1 [in][out], b1, w2, b2;
/// without `bias` b1 and b2 are left out. Throws std::invalid_argument on other depths.
std::shared_ptr<const ScoreNetwork> mlp_network(int depth, bool bias);
/// s = F w + b, flat w, b.
std::shared_ptr<const ScoreNetwork> linear_network();

}  // namespace namm
