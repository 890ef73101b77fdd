#pragma once
#include <cmath>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <namm/namm.hpp>
#include <nlohmann/json.hpp>

/// A token is worth w0 ln |key| + w1 ln |value|: small keys and large values stay. Evolution finds better weights.
class Norms final : public namm::Policy {
 public:
  explicit Norms(std::vector<float> weights = {-1.0f, 1.0f}) { Norms::set_parameters(weights); }
  /// From its part of a policy file; an empty object gives the weights above.
  static std::unique_ptr<namm::Policy> make(const nlohmann::json& settings) {
    return std::make_unique<Norms>(settings.value("weights", std::vector<float>{-1.0f, 1.0f}));
  }

  std::string_view name() const override { return "norms"; }
  namm::StatisticSet required() const override { return namm::Statistic::key_norm | namm::Statistic::value_norm; }
  void score(const namm::HeadTokens& tokens, std::span<float> scores) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      scores[i] = weights_[0] * std::log(tokens.key_norm[i] + 1e-6f) + weights_[1] * std::log(tokens.value_norm[i] + 1e-6f);
  }

  std::size_t parameter_count() const override { return weights_.size(); }
  std::vector<float> parameters() const override { return weights_; }
  void set_parameters(std::span<const float> parameters) override {
    if (parameters.size() != 2) throw std::invalid_argument("norms: must have 2 weights");
    weights_.assign(parameters.begin(), parameters.end());
  }
  std::unique_ptr<namm::Policy> clone() const override { return std::make_unique<Norms>(*this); }
  nlohmann::json to_json() const override { return {{"weights", weights_}}; }

 private:
  std::vector<float> weights_;
};
