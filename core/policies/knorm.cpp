#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Keys of small norm tend to receive much attention and are kept (arXiv 2406.11430, section 3).
struct KeyNorm {
  static constexpr std::string_view name = "knorm";
  static constexpr StatisticSet required = Statistic::key_norm;
  static void score(const HeadTokens& tokens, std::span<float> scores) {
    std::transform(tokens.key_norm.begin(), tokens.key_norm.end(), scores.begin(), [](float norm) { return -norm; });
  }
};

}  // namespace

std::unique_ptr<Policy> make_knorm(const nlohmann::json& settings) {
  return detail::make_formula<KeyNorm>(settings);
}

}  // namespace namm
