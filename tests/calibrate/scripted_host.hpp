#pragma once
// A scripted model of two layers with two KV heads whose attention is known: a query pays every earlier token exp(a . key), a
// different `a` for each head, so that a linear probe of the key can be right.
#include <chrono>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host/host.hpp"

namespace scripted {

constexpr int kLayers = 2, kHeads = 2, kSize = 3;

/// Key of a token in a head: depends on the token alone.
inline std::vector<float> key_of(int layer, int head, namm::Token token) {
  std::mt19937 random(static_cast<unsigned>(token * 100 + layer * 10 + head));
  std::vector<float> key(kSize);
  for (float& x : key) x = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return key;
}
/// ln of the attention that every query pays it.
inline float log_attention(int layer, int head, std::span<const float> key) {
  return -2.0f + 0.8f * key[0] - 0.5f * key[1] * static_cast<float>(head + 1) + 0.3f * key[2] * static_cast<float>(layer);
}
/// ln of the norm of its value.
inline float value_log_norm(int head, std::span<const float> key) {
  return 2.0f + 0.4f * key[0] - 0.6f * key[2] * static_cast<float>(head);
}
/// ln of an attention with a part that no linear read-out has.
inline float log_attention(int layer, int head, std::span<const float> key, float bend) {
  return log_attention(layer, head, key) - bend * key[1] * key[1];
}

class Host final : public namm::Host {
 public:
  Host() {
    description_.model = "scripted";
    description_.architecture = "scripted";
    for (int layer = 0; layer < kLayers; ++layer) description_.cached.push_back({layer, kHeads, kSize, kSize, 0});
  }
  const namm::HostDescription& description() const override { return description_; }
  void train(std::size_t context) { description_.train_context = static_cast<int>(context); }
  ChatTemplate chat_template() const override { return {"[", "]"}; }
  /// One token per character.
  std::vector<namm::Token> tokenize(std::string_view text, bool add_special) const override {
    std::vector<namm::Token> out;
    if (add_special) out.push_back(1);
    for (const char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string detokenize(std::span<const namm::Token> tokens) const override { return {tokens.begin(), tokens.end()}; }

  void reset(const namm::CachePolicy& memory) override {
    memory_ = memory;
    tokens_.clear();
  }
  void evaluate(std::span<const namm::Token> tokens) override {
    if (fail_at >= 0 && fail_at-- == 0) throw std::runtime_error("scripted failure");
    evaluated += tokens.size();
    if (uneven && tokens.size() % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(4));
    const auto first = static_cast<std::int32_t>(tokens_.size());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    std::vector<std::int32_t> positions(tokens_.size());
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
    for (int layer = 0; layer < kLayers; ++layer) {
      std::vector<float> keys, values, attention[kHeads];
      for (const namm::Token token : tokens)
        for (int head = 0; head < kHeads; ++head) {
          const std::vector<float> key = key_of(layer, head, token);
          keys.insert(keys.end(), key.begin(), key.end());
          values.insert(values.end(), {0.0f, -std::exp(value_log_norm(head, key)), 0.0f});
        }
      const std::span new_positions(positions.data() + first, tokens.size());
      memory_.observer->on_tokens({layer, kHeads, kSize, kSize, new_positions, keys.data(), values.data()});
      for (int head = 0; head < kHeads; ++head) {
        for (std::size_t q = 0; q < tokens.size(); ++q)
          for (std::size_t i = 0; i < tokens_.size(); ++i)
            attention[head].push_back(i <= q + static_cast<std::size_t>(first)
                                          ? std::exp(log_attention(layer, head, key_of(layer, head, tokens_[i]), bend))
                                          : 0.0f);
        memory_.observer->on_attention(
            {layer, head, positions, attention[head], static_cast<int>(tokens.size()), tokens_.size(), first});
      }
    }
  }
  void update() override {}
  std::vector<double> log_likelihood(std::span<const namm::Token>) override { return {}; }
  namm::Generation generate(int, bool) override { return {}; }
  namm::CacheUsage usage() const override { return {}; }

  std::size_t evaluated = 0;
  float bend = 0;       ///< of the attention, see log_attention()
  bool uneven = false;  ///< some texts take longer
  int fail_at = -1;     ///< evaluate() throws when this many calls were made

 private:
  namm::HostDescription description_;
  namm::CachePolicy memory_;
  std::vector<namm::Token> tokens_;
};

}  // namespace scripted
