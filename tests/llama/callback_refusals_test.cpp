// What the callback cannot be attached to, each with a sentence that says what would work.
#include "adapters/llama_callback/callback_memory.hpp"
#include "adapters/llama_cpp/host/llama_host.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/message.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::CallbackMemory;

namespace {

std::string refusal(const char* architecture) {
  TinyShape shape;
  shape.architecture = architecture;
  if (shape.architecture == "mpt") shape.kv_heads = shape.query_heads;
  llama::LlamaHostSettings settings;
  settings.holder = llama::CacheHolder::callback;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  return message([&] { llama::LlamaHost host(model, settings); });
}

}  // namespace

TEST_CASE("callback: models it cannot be attached to", "[llama][callback]") {
  for (const char* const window : {"gemma2", "gemma3", "gpt-oss"}) {
    CHECK_THAT(refusal(window), Contains("sliding-window"));
    CHECK_THAT(refusal(window), Contains("use --attachment backend"));
  }
  CHECK_THAT(refusal("mamba"), Contains("no KV cache"));
  CHECK_THAT(refusal("deepseek2"), Contains("multi-head latent attention"));
  CHECK_THAT(refusal("mpt"), Contains("ALiBi"));
  CHECK_THAT(refusal("qwen2vl"), Contains("M-RoPE"));
}

TEST_CASE("callback: contexts and memories it cannot be attached to", "[llama][callback]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(60, 64, 8);
  ContextSettings settings;
  settings.cells = 256;
  CallbackMemory several;
  settings.callback = &several;
  settings.sequences = 2;
  CHECK_THAT(message([&] { Context context(model, settings); }), Contains("for one sequence") && Contains("n_seq_max to 1"));
  settings.sequences = 1;

  CallbackMemory attached;
  settings.callback = &attached;
  Context context(model, settings);
  CachePolicy memory;
  memory.policy = make_policy("h2o");
  CHECK_THAT(message([&] { attached.reset(memory); }), Contains("flash attention does not show") && Contains("-fa off"));
  memory.policy = make_policy("knorm");
  for (const SelectionMode mode : {SelectionMode::pooled, SelectionMode::threshold, SelectionMode::reference}) {
    memory.selection.mode = mode;
    CHECK_THAT(message([&] { attached.reset(memory); }), Contains("--mode uniform") && Contains(std::string(to_string(mode))));
  }
  context.evaluate(tokens, 20);
  CHECK_THAT(message([&] { CallbackMemory().attach(context.get()); }), Contains("must be empty"));
}

TEST_CASE("callback: heads that share a quantisation block", "[llama][callback]") {
  TinyShape shape;
  shape.head_size = 48;
  CallbackMemory attached;
  ContextSettings settings;
  settings.cells = 256;
  settings.callback = &attached;
  settings.flash_attention = false;  // with it llama.cpp itself refuses
  settings.type_k = GGML_TYPE_Q8_0;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  CHECK_THAT(message([&] { Context context(model, settings); }),
             Contains("heads of 48 numbers share blocks of 32") && Contains("use f16 (--cache-type-k)"));
}

TEST_CASE("callback: a policy that reads keys and a cache of type q8_0, for which they are rotated", "[llama][callback]") {
  class Reading final : public Policy, ContentReader {
   public:
    std::string_view name() const override { return "test-reading"; }
    StatisticSet required() const override { return Statistic::content; }
    const ContentReader* reader() const override { return this; }
    void score(const HeadTokens&, std::span<float> scores) const override { std::fill(scores.begin(), scores.end(), 0.0f); }
    void read(const LayerTokens&, std::span<float> out) const override { std::fill(out.begin(), out.end(), 0.0f); }
    std::unique_ptr<Policy> clone() const override { return std::make_unique<Reading>(); }
    nlohmann::json to_json() const override { return {}; }
  };
  TinyShape shape;
  shape.head_size = 64;
  CallbackMemory attached;
  ContextSettings settings;
  settings.cells = 256;
  settings.callback = &attached;
  settings.type_k = settings.type_v = GGML_TYPE_Q8_0;
  Context context(llama::LlamaModel::load(write_tiny_model(shape)), settings);
  CachePolicy memory;
  memory.policy = std::make_shared<Reading>();
  attached.reset(memory);
  const auto tokens = random_tokens(20, 64, 8);
  CHECK_THAT(message([&] { context.evaluate(tokens, 20); }), Contains("are changed (MUL_MAT)") && Contains("type f16"));
}
