#pragma once
// A scripted language model with a known optimum. A token is a word; words that begin with '#' are needles, recognisable by a
// large key norm and by the attention they receive. The model knows a needle as far as the (layer, KV head) caches still hold it.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/host.hpp"
#include "namm/cache_policy.hpp"
#include "tasks/task.hpp"

namespace fake {

constexpr int kLayers = 2, kHeads = 2;
constexpr namm::Token kNeedle = 1000, kStart = 999;

struct Script {
  namm::Host::ChatTemplate chat;
  std::function<void()> on_reset;  ///< called by every reset(), of every host; may throw
  std::atomic<int>* resets = nullptr;
};

class Host : public namm::Host {
 public:
  explicit Host(Script script = {}) : script_(std::move(script)) {
    description_.model = "fake";
    description_.architecture = "scripted";
    description_.layers = kLayers;
    description_.query_heads = kHeads;
    for (int layer = 0; layer < kLayers; ++layer) description_.cached.push_back({layer, kHeads, 8, 8, 0});
  }

  const namm::HostDescription& description() const override { return description_; }
  ChatTemplate chat_template() const override { return script_.chat; }

  std::vector<namm::Token> tokenize(std::string_view text, bool add_special) const override {
    std::vector<namm::Token> tokens;
    if (add_special) tokens.push_back(kStart);
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) {
      if (word == "<s>") {
        tokens.push_back(kStart);
      } else if (word.front() == '#') {
        tokens.push_back(kNeedle + std::stoi(word.substr(1)));
      } else {
        unsigned hash = 7;
        for (const char c : word) hash = hash * 31 + static_cast<unsigned char>(c);
        tokens.push_back(static_cast<namm::Token>(hash % 900));
      }
    }
    return tokens;
  }
  std::string detokenize(std::span<const namm::Token> tokens) const override {
    std::string text;
    for (const namm::Token token : tokens) text += token >= kNeedle ? " #" + std::to_string(token - kNeedle) : " word";
    return text;
  }

  void reset(const namm::CachePolicy& memory) override {
    if (script_.on_reset) script_.on_reset();
    if (script_.resets != nullptr) ++*script_.resets;
    omp_set_num_threads(1);  // heads of a few tokens are not worth threads
    calls += "reset;";
    memory_ = memory;
    seen_ = 0;
    needles_.clear();
    heads_.clear();
    namm::StatisticsSettings settings;
    settings.needed = memory.required();
    settings.spectrogram = memory.spectrogram;
    for (int i = 0; i < kLayers * kHeads; ++i) heads_.push_back({namm::HeadStatistics(settings), {}});
  }

  void evaluate(std::span<const namm::Token> tokens) override {
    calls += "evaluate " + std::to_string(tokens.size()) + ";";
    for (const namm::Token token : tokens) {
      append(token);
      if (seen_ % memory_.interval_tokens == 0) prune();
    }
  }
  void update() override {
    calls += "update;";
    prune();
  }
  std::vector<double> log_likelihood(std::span<const namm::Token> tokens) override {
    calls += "likelihood " + std::to_string(tokens.size()) + ";";
    std::vector<double> nats;
    for (const namm::Token token : tokens) {
      nats.push_back(-0.05 - 4 * (1 - knowledge(token)));
      append(token);
    }
    return nats;
  }
  namm::Generation generate(int max_tokens, bool) override {
    calls += "generate " + std::to_string(max_tokens) + ";";
    namm::Generation out;
    for (const namm::Token token : heads_.front().tokens) {
      if (token >= kNeedle && knowledge(token) == 1) out.tokens = {token};
    }
    out.text = out.tokens.empty() ? " unknown" : detokenize(out.tokens);
    return out;
  }
  namm::CacheUsage usage() const override {
    namm::CacheUsage usage;
    usage.tokens_seen = seen_;
    usage.entries_full = seen_ * kLayers * kHeads;
    for (const Head& head : heads_) usage.entries += static_cast<std::int64_t>(head.tokens.size());
    return usage;
  }

  /// Two words, "known" and "unknown": the more heads hold the needles seen, the likelier the first.
  std::span<const float> logits() const override {
    double known = 1;
    for (const namm::Token needle : needles_) known *= knowledge(needle);
    logits_ = {static_cast<float>(4 * known), 1.0f};
    return logits_;
  }

  std::string calls;  ///< what was called, in order

 private:
  struct Head {
    namm::HeadStatistics statistics;
    std::vector<namm::Token> tokens;
  };

  /// Share of the heads that still hold this token.
  double knowledge(namm::Token token) const {
    double holding = 0;
    for (const Head& head : heads_) holding += std::find(head.tokens.begin(), head.tokens.end(), token) != head.tokens.end();
    return holding / static_cast<double>(heads_.size());
  }

  void append(namm::Token token) {
    const auto position = static_cast<std::int32_t>(seen_++);
    if (token >= kNeedle) needles_.push_back(token);
    const float noise = static_cast<float>((position * 37 + token * 11) % 17) / 17.0f;
    const float key_norm = (token >= kNeedle ? 4.0f : 1.0f) + noise, value_norm = 1.0f + noise;
    for (Head& head : heads_) {
      head.tokens.push_back(token);
      if (!memory_.policy && !memory_.observer) continue;
      const std::int32_t positions[] = {position};
      const float keys[] = {key_norm}, values[] = {value_norm};
      head.statistics.append(positions, keys, values);
      std::vector<float> row;
      float sum = 0;
      for (const namm::Token cached : head.tokens) sum += row.emplace_back(cached >= kNeedle ? 3.0f : 1.0f);
      for (float& probability : row) probability /= sum;
      head.statistics.observe(row, 1, row.size(), position);
    }
  }

  void prune() {
    if (!memory_.updates()) return;
    std::vector<namm::HeadTokens> views;
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      namm::HeadTokens view = heads_[i].statistics.view();
      view.layer = static_cast<int>(i) / kHeads;
      view.kv_head = static_cast<int>(i) % kHeads;
      view.tokens_seen = seen_;
      views.push_back(view);
    }
    const namm::Selection selection = namm::update_heads(memory_, views, seen_, 32.0 * static_cast<double>(heads_.size()));
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      std::vector<namm::Token> kept;
      for (const std::int32_t index : selection.kept[i]) kept.push_back(heads_[i].tokens[static_cast<std::size_t>(index)]);
      heads_[i].tokens = std::move(kept);
      heads_[i].statistics.keep(selection.kept[i]);
    }
  }

  Script script_;
  namm::HostDescription description_;
  namm::CachePolicy memory_;
  std::int64_t seen_ = 0;
  std::vector<Head> heads_;
  std::vector<namm::Token> needles_;
  mutable std::vector<float> logits_;
};

/// Words and one needle, which is the answer.
class Task final : public namm::tasks::Task {
 public:
  explicit Task(std::string name = "needle") : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  namm::tasks::Sample make(const namm::tasks::SampleRequest& request, const namm::tasks::TokenCounter& count) const override {
    std::uint64_t state = request.seed * 1000003 + request.index * 7919 + static_cast<std::uint64_t>(request.split) * 104729 + 1;
    const auto draw = [&](std::uint64_t below) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return (state >> 33) % below;
    };
    std::string needle("#");
    needle += std::to_string(draw(50));
    const std::size_t place = draw(request.length_tokens * 3 / 4);
    namm::tasks::Sample sample;
    for (std::size_t i = 0; count(sample.context) < request.length_tokens; ++i) {
      if (i > 0) sample.context += ' ';
      sample.context += i == place ? needle : word(draw(60));
    }
    sample.id = name_ + "/" + std::string(to_string(request.split)) + "/" + std::to_string(request.index);
    sample.task = name_;
    sample.question = " which one";
    sample.answer_prefix = " it is";
    sample.answers = {needle};
    return sample;
  }

 private:
  static std::string word(std::uint64_t number) {
    std::string text("w");
    return text += std::to_string(number);
  }
  std::string name_;
};

}  // namespace fake
