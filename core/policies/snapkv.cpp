#include <algorithm>

#include "base/json_fields.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Mean attention from the newest queries, pooled over neighbouring tokens so that a kept token keeps its surroundings (SnapKV,
/// arXiv 2404.14469, section 4). Default: the maximum over 7 neighbours, as in the paper's LongBench runs with max pooling;
/// neighbours are the cached ones, clipped at the ends. The observation window itself, the newest 32 positions as far as
/// statistics have their default, is always kept and counts, as in the paper.
class SnapKvPolicy final : public Policy {
 public:
  SnapKvPolicy(bool average, std::size_t kernel, std::int32_t window) : average_(average), kernel_(kernel), window_(window) {}
  std::string_view name() const override { return "snapkv"; }
  StatisticSet required() const override { return Statistic::window_mean; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const std::span<const float> mean = tokens.window_mean;
    const std::size_t radius = kernel_ / 2;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const auto begin = mean.begin() + static_cast<std::ptrdiff_t>(i - std::min(i, radius));
      const auto end = mean.begin() + static_cast<std::ptrdiff_t>(std::min(i + radius + 1, mean.size()));
      if (average_) {
        float sum = 0;
        for (auto value = begin; value != end; ++value) sum += *value;
        scores[i] = sum / static_cast<float>(end - begin);
      } else {
        scores[i] = *std::max_element(begin, end);
      }
    }
    for (std::size_t i = scores.size(); i > 0 && tokens.positions[i - 1] > tokens.positions.back() - window_; --i)
      scores[i - 1] = kAlways;
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<SnapKvPolicy>(*this); }
  nlohmann::json to_json() const override {
    return {{"pooling", average_ ? "average" : "max"}, {"kernel", kernel_}, {"window", window_}};
  }

 private:
  static constexpr float kAlways = 2;  ///< above any mean of attention

  bool average_;
  std::size_t kernel_;
  std::int32_t window_;
};

}  // namespace

std::unique_ptr<Policy> make_snapkv(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"pooling", "kernel", "window"});
  const std::string pooling = fields.has("pooling") ? fields.text("pooling") : "max";
  if (pooling != "max" && pooling != "average") fields.refuse("pooling", "\"max\" or \"average\"");
  const std::int64_t kernel = fields.has("kernel") ? fields.integer("kernel", 1, 1023) : 7;
  if (kernel % 2 == 0) fields.refuse("kernel", "odd (a token and as many neighbours on both sides)");
  const std::int64_t window = fields.has("window") ? fields.integer("window", 0, 1 << 20) : 32;
  return std::make_unique<SnapKvPolicy>(pooling == "average", static_cast<std::size_t>(kernel),
                                        static_cast<std::int32_t>(window));
}

}  // namespace namm
