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

}  // namespace

std::unique_ptr<Policy> make_h2o(const nlohmann::json& settings) {
  return detail::make_formula<H2o>(settings);
}

}  // namespace namm
