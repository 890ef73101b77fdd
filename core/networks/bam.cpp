#include "kernels/bam.hpp"

#include "core/networks/score_network.hpp"

namespace namm {
namespace {

constexpr std::size_t kHead = 32;  // width of query, key and value

class BamNetwork final : public ScoreNetwork {
 public:
  std::size_t parameter_count(std::size_t width) const override {
    return width * 3 * kHead + 3 * kHead + kHead * 2 * width + 2 * width + width + 1;
  }
  std::size_t read_out(std::size_t width) const override { return parameter_count(width) - width - 1; }
  void score(std::span<const float> features, std::size_t width, std::span<const float> parameters,
             std::span<float> scores) const override {
    kernels::bam_scores(features.data(), scores.size(), width, parameters.data(), scores.data());
  }
  void describe(nlohmann::json&) const override {}
};

}  // namespace

std::shared_ptr<const ScoreNetwork> bam_network() {
  return std::make_shared<BamNetwork>();
}

}  // namespace namm
