#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "namm/policy.hpp"

namespace namm::test {

/// What statistics said at an update, of one head.
struct Recorded {
  std::vector<std::int32_t> positions;
  std::vector<float> accumulated, queries_seen, last_row, window_mean, spectrogram, key_norm, value_norm;
};

/// A policy that writes down what it is shown, and keeps what does not depend on it.
class Recorder final : public Policy {
 public:
  using Records = std::map<std::pair<int, int>, std::vector<Recorded>>;  ///< by layer and KV head, in the order of updates
  explicit Recorder(StatisticSet required) : required_(required) {}
  std::string_view name() const override { return "recorder"; }
  StatisticSet required() const override { return required_; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const auto copy = [](std::span<const float> from) { return std::vector<float>(from.begin(), from.end()); };
    {
      const std::lock_guard<std::mutex> lock(state_->mutex);
      state_->records[{tokens.layer, tokens.kv_head}].push_back({{tokens.positions.begin(), tokens.positions.end()},
                                                                 copy(tokens.accumulated),
                                                                 copy(tokens.queries_seen),
                                                                 copy(tokens.last_row),
                                                                 copy(tokens.window_mean),
                                                                 copy(tokens.spectrogram),
                                                                 copy(tokens.key_norm),
                                                                 copy(tokens.value_norm)});
    }
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const auto mixed = static_cast<std::uint32_t>(tokens.positions[i] + 31 * tokens.kv_head + 1) * 2654435761u;
      scores[i] = static_cast<float>(mixed >> 8);
    }
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Recorder>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }
  const Records& records() const { return state_->records; }

 private:
  struct State {
    std::mutex mutex;
    Records records;
  };
  StatisticSet required_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace namm::test
