#include "calibrate/hindsight.hpp"

#include <cmath>
#include <stdexcept>

#include "base/folded_name.hpp"
#include "calibrate/expected_attention.hpp"
#include "calibrate/prompt_scores.hpp"
#include "calibrate/recorder.hpp"

namespace namm::calibrate {
namespace {

/// Evaluates with nothing evicted while `watcher` looks.
void evaluate_full(Host& host, std::shared_ptr<Observer> watcher, std::span<const Token> context, std::span<const Token> tail) {
  CachePolicy memory;
  memory.observer = std::move(watcher);
  memory.interval_tokens = 1 << 24;
  host.reset(memory);
  host.evaluate(context);
  if (!tail.empty()) host.evaluate(tail);
  host.reset({});
}

/// Evaluates context and tail with nothing evicted; what the queries of the last `watched` tokens looked at.
std::shared_ptr<const Policy> record(Host& host, std::string_view name, std::span<const Token> context,
                                     std::span<const Token> tail, std::size_t watched) {
  const auto end = static_cast<std::int32_t>(context.size() + tail.size());
  const auto recorder = std::make_shared<Recorder>(ProbeInput::key, static_cast<std::int32_t>(context.size()),
                                                   std::vector<PositionRange>{{end - static_cast<std::int32_t>(watched), end}});
  evaluate_full(host, recorder, context, tail);
  std::map<int, PromptScores::ByHead> scores;
  for (const auto& [index, layer] : recorder->layers()) {
    PromptScores::ByHead& heads = scores[index] = layer.attention;
    for (std::vector<float>& head : heads)
      for (float& attention : head) attention = std::log(attention + 1e-6f);
  }
  return std::make_shared<PromptScores>(name, std::move(scores));
}

class Oracle final : public Hindsight {
 public:
  std::string_view name() const override { return "oracle"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings&) const override {
    std::vector<Token> tail = prompt.question;
    tail.insert(tail.end(), prompt.answer.begin(), prompt.answer.end());
    if (tail.empty()) throw std::invalid_argument("policy oracle: needs prompts with a question or an answer");
    return record(host, name(), prompt.context, tail, tail.size());
  }
};

class Repeated final : public Hindsight {
 public:
  std::string_view name() const override { return "kvzip"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    std::vector<Token> tail = host.tokenize("\n\nRepeat the text above, word for word.", false);
    const std::vector<Token> body = host.tokenize(prompt.sample.context, false);
    if (protocol.chat_template) {
      const std::vector<Token> closing = host.tokenize_template(host.chat_template().after_user);
      tail.insert(tail.end(), closing.begin(), closing.end());
    }
    tail.insert(tail.end(), body.begin(), body.end());
    return record(host, name(), prompt.context, tail, body.size());
  }
};

/// The moments of the queries are those of the whole context: the authors compress once, after the prefill.
class Expected final : public Hindsight {
 public:
  std::string_view name() const override { return "expected-attention"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings&) const override {
    const auto watcher = std::make_shared<ExpectedAttention>(static_cast<std::int32_t>(prompt.context.size()));
    evaluate_full(host, watcher, prompt.context, {});
    return std::make_shared<PromptScores>(name(), watcher->scores());
  }
};

template <typename Kind>
std::shared_ptr<const Hindsight> make() {
  return std::make_shared<Kind>();
}
struct HindsightEntry {
  std::string_view name;
  std::shared_ptr<const Hindsight> (*make)();
};
constexpr HindsightEntry kEntries[] = {
    {"oracle", make<Oracle>}, {"kvzip", make<Repeated>}, {"expected-attention", make<Expected>}};

}  // namespace

std::shared_ptr<const Hindsight> make_hindsight(std::string_view name) {
  for (const HindsightEntry& entry : kEntries)
    if (folded_name(entry.name) == folded_name(name)) return entry.make();
  return nullptr;
}

}  // namespace namm::calibrate
