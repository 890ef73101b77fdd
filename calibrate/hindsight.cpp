#include "calibrate/hindsight.hpp"

#include <cmath>
#include <stdexcept>

#include "base/folded_name.hpp"
#include "calibrate/expected_attention.hpp"
#include "calibrate/largest_attention.hpp"
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

std::vector<Token> joined(const std::vector<Token>& a, const std::vector<Token>& b) {
  std::vector<Token> out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

std::shared_ptr<const Policy> by_attention(std::string_view name, std::map<int, PromptScores::ByHead> attention) {
  for (auto& [layer, heads] : attention)
    for (std::vector<float>& head : heads)
      for (float& value : head) value = std::log(value + 1e-6f);
  return std::make_shared<PromptScores>(name, std::move(attention));
}

/// The last `watched` tokens of context and tail.
PositionRange newest(std::span<const Token> context, std::span<const Token> tail, std::size_t watched) {
  const auto end = static_cast<std::int32_t>(context.size() + tail.size());
  return {end - static_cast<std::int32_t>(watched), end};
}

/// What the queries of the last `watched` tokens looked at: the largest mean over the query heads of a group.
std::shared_ptr<const Policy> record_means(Host& host, std::string_view name, std::span<const Token> context,
                                           std::span<const Token> tail, std::size_t watched) {
  const auto recorder = std::make_shared<Recorder>(ProbeInput::key, static_cast<std::int32_t>(context.size()),
                                                   std::vector<PositionRange>{newest(context, tail, watched)});
  evaluate_full(host, recorder, context, tail);
  std::map<int, PromptScores::ByHead> attention;
  for (const auto& [index, layer] : recorder->layers()) attention[index] = layer.attention;
  return by_attention(name, std::move(attention));
}

class Oracle final : public Hindsight {
 public:
  std::string_view name() const override { return "oracle"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings&) const override {
    const std::vector<Token> tail = joined(prompt.question, prompt.answer);
    if (tail.empty()) throw std::invalid_argument("policy oracle: needs prompts with a question or an answer");
    return record_means(host, name(), prompt.context, tail, tail.size());
  }
};

/// The context once more, behind the request to repeat it.
struct Repetition {
  std::vector<Token> tail;
  std::size_t watched = 0;  ///< tokens at its end that are the context's
};

Repetition repetition_of(const Host& host, const Prompt& prompt, const ProtocolSettings& protocol) {
  std::vector<Token> before = host.tokenize("\n\nRepeat the text above, word for word.", false);
  const std::vector<Token> body = host.tokenize(prompt.sample.context, false);
  if (protocol.chat_template) before = joined(before, host.tokenize_template(host.chat_template().after_user));
  return {joined(before, body), body.size()};
}

/// As published: the largest over the queries and the query heads of a group.
class Repeated final : public Hindsight {
 public:
  std::string_view name() const override { return "kvzip"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    const auto [tail, watched] = repetition_of(host, prompt, protocol);
    const auto watcher = std::make_shared<LargestAttention>(static_cast<std::int32_t>(prompt.context.size()),
                                                            newest(prompt.context, tail, watched));
    evaluate_full(host, watcher, prompt.context, tail);
    return by_attention(name(), watcher->largest());
  }
};

class RepeatedMean final : public Hindsight {
 public:
  std::string_view name() const override { return "kvzip-mean"; }
  std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    const auto [tail, watched] = repetition_of(host, prompt, protocol);
    return record_means(host, name(), prompt.context, tail, watched);
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
constexpr HindsightEntry kEntries[] = {{"oracle", make<Oracle>},
                                       {"kvzip", make<Repeated>},
                                       {"kvzip-mean", make<RepeatedMean>},
                                       {"expected-attention", make<Expected>}};

}  // namespace

std::shared_ptr<const Hindsight> make_hindsight(std::string_view name) {
  for (const HindsightEntry& entry : kEntries)
    if (folded_name(entry.name) == folded_name(name)) return entry.make();
  return nullptr;
}

}  // namespace namm::calibrate
