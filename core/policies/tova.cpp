#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Attention received from the newest query (TOVA, arXiv 2401.06104, section 3.2), per KV head; the paper takes the mean over the
/// heads of a layer.
struct Tova {
  static constexpr std::string_view name = "tova";
  static constexpr StatisticSet required = Statistic::last_row;
  static void score(const HeadTokens& tokens, std::span<float> scores) {
    std::copy(tokens.last_row.begin(), tokens.last_row.end(), scores.begin());
  }
};

}  // namespace

std::unique_ptr<Policy> make_tova(const nlohmann::json& settings) {
  return detail::make_formula<Tova>(settings);
}

}  // namespace namm
