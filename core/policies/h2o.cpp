#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Heavy hitters: attention received, summed over all queries (H2O, arXiv 2306.14048, section 4). Favours old tokens, which more
/// queries have seen.
struct H2o {
  static constexpr std::string_view name = "h2o";
  static constexpr StatisticSet required = Statistic::accumulated;
  static void score(const HeadTokens& tokens, std::span<float> scores) {
    std::copy(tokens.accumulated.begin(), tokens.accumulated.end(), scores.begin());
  }
};

/// As published: half of the budget is the newest tokens', half the heavy hitters'.
struct H2oHalf {
  static constexpr std::string_view name = "h2o-half";
  static constexpr StatisticSet required = H2o::required;
  static constexpr double recent_share = 0.5;
  static void score(const HeadTokens& tokens, std::span<float> scores) { H2o::score(tokens, scores); }
};

}  // namespace

std::unique_ptr<Policy> make_h2o(const nlohmann::json& settings) {
  return detail::make_formula<H2o>(settings);
}

std::unique_ptr<Policy> make_h2o_half(const nlohmann::json& settings) {
  return detail::make_formula<H2oHalf>(settings);
}

}  // namespace namm
