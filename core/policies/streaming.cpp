#include "base/json_fields.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// Attention sinks and the newest tokens (StreamingLLM, arXiv 2309.17453, section 3.2). Score = position; a sink scores one more
/// than the newest token.
class StreamingPolicy final : public Policy {
 public:
  explicit StreamingPolicy(std::int32_t sinks) : sinks_(sinks) {}
  std::string_view name() const override { return "streaming"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const std::int32_t position = tokens.positions[i];
      scores[i] = static_cast<float>(position < sinks_ ? std::int64_t{tokens.positions.back()} + 1 : std::int64_t{position});
    }
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<StreamingPolicy>(*this); }
  nlohmann::json to_json() const override { return {{"sinks", sinks_}}; }

 private:
  std::int32_t sinks_;
};

}  // namespace

std::unique_ptr<Policy> make_streaming(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"sinks"});
  const std::int64_t sinks = fields.has("sinks") ? fields.integer("sinks", 0, 1 << 20) : 4;
  return std::make_unique<StreamingPolicy>(static_cast<std::int32_t>(sinks));
}

}  // namespace namm
