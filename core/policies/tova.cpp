#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Attention received from the newest query (TOVA, arXiv 2401.06104, section 3.2), per KV head.
struct Tova {
  static constexpr std::string_view name = "tova";
  static constexpr StatisticSet required = Statistic::last_row;
  static void score(const HeadTokens& tokens, std::span<float> scores) {
    std::copy(tokens.last_row.begin(), tokens.last_row.end(), scores.begin());
  }
};

/// One choice per layer by the mean over its heads, as published.
struct TovaLayer : Tova {
  static constexpr std::string_view name = "tova-layer";
  static constexpr bool per_layer = true;
};

}  // namespace

std::unique_ptr<Policy> make_tova_layer(const nlohmann::json& settings) {
  return detail::make_formula<TovaLayer>(settings);
}

std::unique_ptr<Policy> make_tova(const nlohmann::json& settings) {
  return detail::make_formula<Tova>(settings);
}

}  // namespace namm
