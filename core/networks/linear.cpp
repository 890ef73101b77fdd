#include "core/networks/score_network.hpp"

namespace namm {
namespace {

class LinearNetwork final : public ScoreNetwork {
 public:
  std::size_t parameter_count(std::size_t width) const override { return width + 1; }
  std::size_t read_out(std::size_t) const override { return 0; }
  void score(std::span<const float> features, std::size_t width, std::span<const float> parameters,
             std::span<float> scores) const override {
    for (std::size_t token = 0; token < scores.size(); ++token) {
      float sum = parameters[width];
      for (std::size_t i = 0; i < width; ++i) sum += features[token * width + i] * parameters[i];
      scores[token] = sum;
    }
  }
  void describe(nlohmann::json&) const override {}
};

}  // namespace

std::shared_ptr<const ScoreNetwork> linear_network() {
  return std::make_shared<LinearNetwork>();
}

}  // namespace namm
