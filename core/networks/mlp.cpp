#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/networks/score_network.hpp"

namespace namm {
namespace {

class MlpNetwork final : public ScoreNetwork {
 public:
  MlpNetwork(int depth, bool bias) : depth_(depth), bias_(bias) {}

  std::size_t parameter_count(std::size_t width) const override {
    const std::size_t read_out = width + (bias_ ? 1 : 0);
    return depth_ == 1 ? read_out : width * width + (bias_ ? width : 0) + read_out;
  }

  std::size_t read_out(std::size_t width) const override { return parameter_count(width) - width - (bias_ ? 1 : 0); }

  void score(std::span<const float> features, std::size_t width, std::span<const float> parameters,
             std::span<float> scores) const override {
    const float* w1 = parameters.data();
    const float* b1 = w1 + width * width;
    const float* w2 = depth_ == 1 ? w1 : bias_ ? b1 + width : b1;
    const float b2 = bias_ ? parameters.back() : 0.0f;
    std::vector<float> hidden(width);
    for (std::size_t token = 0; token < scores.size(); ++token) {
      const float* in = features.data() + token * width;
      std::copy_n(in, width, hidden.begin());
      if (depth_ == 2) add_hidden(in, width, w1, bias_ ? b1 : nullptr, hidden);
      float score = b2;
      for (std::size_t i = 0; i < width; ++i) score += hidden[i] * w2[i];
      scores[token] = score;
    }
  }

  void describe(nlohmann::json& fields) const override {
    fields["depth"] = depth_;
    fields["bias"] = bias_;
  }

 private:
  static void add_hidden(const float* in, std::size_t width, const float* w1, const float* b1, std::vector<float>& hidden) {
    std::vector<float> sums(width, 0.0f);
    if (b1 != nullptr) std::copy_n(b1, width, sums.begin());
    for (std::size_t i = 0; i < width; ++i) {
      for (std::size_t o = 0; o < width; ++o) sums[o] += in[i] * w1[i * width + o];
    }
    for (std::size_t o = 0; o < width; ++o) hidden[o] += std::max(sums[o], 0.0f);
  }

  int depth_;
  bool bias_;
};

}  // namespace

std::shared_ptr<const ScoreNetwork> mlp_network(int depth, bool bias) {
  if (depth != 1 && depth != 2) throw std::invalid_argument("mlp: depth must be 1 or 2, is " + std::to_string(depth));
  return std::make_shared<MlpNetwork>(depth, bias);
}

}  // namespace namm
