#include "calibrate/hindsight.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "calibrate/recorder.hpp"

namespace namm::calibrate {
namespace {

/// Scores of the tokens of one context, by layer, head and position; tokens behind it are worth more than any of them.
class Recorded final : public Policy {
 public:
  explicit Recorded(std::shared_ptr<const Recorder> recording) : recording_(std::move(recording)) {}
  std::string_view name() const override { return "recorded"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const std::vector<float>& attention =
        recording_->layers().at(tokens.layer).attention.at(static_cast<std::size_t>(tokens.kv_head));
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const auto position = static_cast<std::size_t>(tokens.positions[i]);
      scores[i] = position < attention.size() ? std::log(attention[position] + 1e-6f) : 1.0f;
    }
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Recorded>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }

 private:
  std::shared_ptr<const Recorder> recording_;
};

/// Evaluates context and tail with nothing evicted; what the queries of the last `watched` tokens looked at.
std::shared_ptr<const Policy> record(Host& host, std::span<const Token> context, std::span<const Token> tail,
                                     std::size_t watched) {
  const auto end = static_cast<std::int32_t>(context.size() + tail.size());
  const auto recorder = std::make_shared<Recorder>(ProbeInput::key, static_cast<std::int32_t>(context.size()),
                                                   std::vector<PositionRange>{{end - static_cast<std::int32_t>(watched), end}});
  Memory memory;
  memory.policy = recorder;
  memory.interval_tokens = 1 << 24;
  host.reset(memory);
  host.evaluate(context);
  host.evaluate(tail);
  host.reset({});
  return std::make_shared<Recorded>(recorder);
}

class Oracle final : public Hindsight {
 public:
  std::string_view name() const override { return "oracle"; }
  std::shared_ptr<const Policy> look(Host& host, const evolve::Prompt& prompt, const evolve::ProtocolSettings&) const override {
    std::vector<Token> tail = prompt.question;
    tail.insert(tail.end(), prompt.answer.begin(), prompt.answer.end());
    if (tail.empty()) throw std::invalid_argument("policy oracle: needs prompts with a question or an answer");
    return record(host, prompt.context, tail, tail.size());
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Oracle>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }
};

class Repeated final : public Hindsight {
 public:
  std::string_view name() const override { return "kvzip"; }
  std::shared_ptr<const Policy> look(Host& host, const evolve::Prompt& prompt,
                                     const evolve::ProtocolSettings& protocol) const override {
    std::vector<Token> tail = host.tokenize("\n\nRepeat the text above, word for word.", false);
    const std::vector<Token> body = host.tokenize(prompt.sample.context, false);
    if (protocol.chat_template) {
      const std::vector<Token> closing = host.tokenize_template(host.chat_template().after_user);
      tail.insert(tail.end(), closing.begin(), closing.end());
    }
    tail.insert(tail.end(), body.begin(), body.end());
    return record(host, prompt.context, tail, body.size());
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Repeated>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }
};

template <typename Kind>
std::shared_ptr<const Hindsight> make() {
  return std::make_shared<Kind>();
}
constexpr HindsightEntry kEntries[] = {
    {"oracle", "sees the question and the answer beforehand: what is possible", make<Oracle>},
    {"kvzip", "sees the model repeat the context beforehand, a second pass (arXiv 2505.23416)", make<Repeated>}};

}  // namespace

void Hindsight::score(const HeadTokens&, std::span<float>) const {
  throw std::logic_error("policy " + std::string(name()) + ": knows nothing before it has looked at a prompt");
}

std::span<const HindsightEntry> hindsight_registry() {
  return kEntries;
}

std::shared_ptr<const Hindsight> make_hindsight(std::string_view name) {
  for (const HindsightEntry& entry : kEntries)
    if (entry.name == name) return entry.make();
  return nullptr;
}

}  // namespace namm::calibrate
