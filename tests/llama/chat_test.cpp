// A chat of twenty turns through the host interface: it stays within the budget, and what is kept is what one long text would
// keep.
#include "adapters/llama_cpp/host/llama_host.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::LlamaHost;
using llama::LlamaModel;

TEST_CASE("a chat of twenty turns is one text of the same tokens", "[llama][chat]") {
  TinyShape shape;
  const auto model = LlamaModel::load(write_tiny_model(shape));
  constexpr int kTurns = 20, kChatTokens = 48, kChatInterval = 96;
  const std::string name = GENERATE("h2o-mean", "snapkv");
  CachePolicy memory;
  memory.policy = make_policy(name);
  memory.selection.budget = {Budget::Unit::tokens, 60};
  memory.selection.mode = SelectionMode::pooled;
  memory.interval_tokens = kChatInterval;
  const auto tokens = random_tokens(kTurns * kChatTokens, shape.vocabulary, 3);
  const std::span all(tokens);

  LlamaHost chat(model, {}), text(model, {});
  chat.reset(memory);
  text.reset(memory);
  std::int64_t heads = 0;
  for (const LayerDescription& layer : chat.description().cached) heads += layer.kv_heads;
  for (int turn = 0; turn < kTurns; ++turn) {
    const auto said = all.subspan(static_cast<std::size_t>(turn * kChatTokens), kChatTokens);
    chat.evaluate(said.first(30));                                                     // the user
    for (std::size_t i = 30; i < said.size(); ++i) chat.evaluate(said.subspan(i, 1));  // the answer
    CAPTURE(name, turn);
    CHECK(chat.usage().tokens_seen == (turn + 1) * kChatTokens);
    CHECK(chat.usage().entries <= heads * (60 + kChatInterval));
  }
  text.evaluate(all);
  CHECK(chat.usage().updates == kTurns * kChatTokens / kChatInterval);
  CHECK(text.usage().updates == chat.usage().updates);
  const auto a = chat.content(), b = text.content();
  REQUIRE(a.size() == b.size());
  for (std::size_t h = 0; h < a.size(); ++h) CHECK(a[h].positions == b[h].positions);
  std::vector<float> x(chat.logits().begin(), chat.logits().end()), y(text.logits().begin(), text.logits().end());
  CHECK(largest_difference({x}, {y}) < 1e-3 * largest({y}));
}
