#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// H2O divided by the number of queries that could see the token: takes away its preference for old tokens.
struct H2oMean {
  static constexpr std::string_view name = "h2o-mean";
  static constexpr StatisticSet required = Statistic::accumulated | Statistic::queries_seen;
  static void score(const HeadTokens& tokens, std::span<float> scores) {
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = tokens.accumulated[i] / std::max(tokens.queries_seen[i], 1.0f);
  }
};

}  // namespace

std::unique_ptr<Policy> make_h2o_mean(const nlohmann::json& settings) {
  return detail::make_formula<H2oMean>(settings);
}

}  // namespace namm
