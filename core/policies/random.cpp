#include <limits>

#include "base/json_fields.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// SplitMix64 finaliser (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// The floor that every policy must beat: a number in [0, 1) that depends on seed, layer, head and position only, so that runs
/// repeat and a token keeps its number from update to update.
class RandomPolicy final : public Policy {
 public:
  explicit RandomPolicy(std::int64_t seed) : seed_(seed) {}
  std::string_view name() const override { return "random"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const std::uint64_t head = mix(mix(mix(static_cast<std::uint64_t>(seed_)) + static_cast<std::uint64_t>(tokens.layer)) +
                                   static_cast<std::uint64_t>(tokens.kv_head));
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const std::uint64_t bits = mix(head + static_cast<std::uint64_t>(tokens.positions[i]));
      scores[i] = static_cast<float>(bits >> 40) * 0x1p-24f;
    }
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<RandomPolicy>(*this); }
  nlohmann::json to_json() const override { return {{"seed", seed_}}; }

 private:
  std::int64_t seed_;
};

}  // namespace

std::unique_ptr<Policy> make_random(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"seed"});
  return std::make_unique<RandomPolicy>(fields.has("seed") ? fields.integer("seed", 0, std::numeric_limits<std::int64_t>::max())
                                                           : 0);
}

}  // namespace namm
