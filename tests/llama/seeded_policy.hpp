#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>

#include "namm/policy.hpp"

namespace namm::test {

/// Score of a token that depends on nothing but who it is: in [-1, 1), later heads lower, so that heads differ in length.
inline float seeded_score(int layer, int kv_head, std::int32_t position) {
  std::uint32_t x =
      static_cast<std::uint32_t>(position) * 2654435761u + static_cast<std::uint32_t>(layer * 31 + kv_head) * 40503u + 1;
  for (int round = 0; round < 2; ++round) {
    x ^= x >> 16;
    x *= 0x45d9f3bu;
  }
  x ^= x >> 16;
  const float uniform = static_cast<float>(x >> 8) / static_cast<float>(1 << 24);  // [0, 1)
  return 2 * uniform - 1 + 0.3f - 0.4f * static_cast<float>(kv_head) - 0.1f * static_cast<float>(layer);
}

/// Scores tokens by seeded_score, so that a test knows what is dropped without asking the store.
class SeededPolicy final : public Policy {
 public:
  std::string_view name() const override { return "test-seeded"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = seeded_score(tokens.layer, tokens.kv_head, tokens.positions[i]);
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<SeededPolicy>(*this); }
  nlohmann::json to_json() const override { return {}; }
};

}  // namespace namm::test
