// The host interface over llama.cpp, and what cannot be attached to.
#include "adapters/llama_cpp/host/llama_host.hpp"

#include <algorithm>
#include <cmath>

#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/message.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::LlamaHost;
using llama::LlamaModel;

namespace {

CachePolicy evicting(std::shared_ptr<const Policy> policy) {
  CachePolicy memory;
  memory.policy = std::move(policy);
  memory.selection.budget = {Budget::Unit::tokens, 40};
  memory.interval_tokens = 64;
  return memory;
}

double log_softmax(std::span<const float> logits, Token token) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - std::log(sum);
}

using Kept = std::vector<std::vector<std::int32_t>>;
Kept kept(const llama::CacheStore& store) {
  Kept out;
  for (const auto& head : store.content()) out.push_back(head.positions);
  return out;
}

}  // namespace

TEST_CASE("LlamaHost: log-likelihood is that of the logits", "[llama][host]") {
  TinyShape shape;
  shape.layers = 1;
  LlamaHost host(LlamaModel::load(write_tiny_model(shape)), {});
  const auto tokens = random_tokens(150, shape.vocabulary, 7);
  const std::span all(tokens);
  for (const bool evict : {false, true}) {
    const CachePolicy memory = evict ? evicting(std::make_shared<SeededPolicy>()) : full_memory();
    host.reset(memory);
    host.evaluate(all.first(50));
    const auto likelihood = host.log_likelihood(all.subspan(50));
    const auto kept_in_batches = kept(*host.store());
    REQUIRE(likelihood.size() == 100);
    host.reset(memory);
    host.evaluate(all.first(50));
    for (std::size_t i = 50; i < 150; ++i) {
      REQUIRE(likelihood[i - 50] == Approx(log_softmax(host.logits(), tokens[i])).margin(2e-5));
      host.evaluate(all.subspan(i, 1));
    }
    CHECK(kept(*host.store()) == kept_in_batches);
  }
}

TEST_CASE("LlamaHost: any chunks give the same kept tokens", "[llama][host]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  const auto tokens = random_tokens(300, 64, 8);
  for (const char* const name : {"", "h2o"}) {
    const CachePolicy memory =
        evicting(*name ? std::shared_ptr<const Policy>(make_policy(name)) : std::make_shared<SeededPolicy>());
    host.reset(memory);
    host.evaluate(tokens);
    const Kept whole = kept(*host.store());
    const std::vector<float> logits(host.logits().begin(), host.logits().end());
    CHECK(host.usage().updates == 300 / 64);
    host.update();
    CHECK(host.usage().entries == 40 * 6);
    host.reset(memory);
    host.evaluate(tokens);
    CHECK(kept(*host.store()) == whole);  // bit for bit the same run
    CHECK(std::equal(logits.begin(), logits.end(), host.logits().begin()));
    for (const std::size_t chunk : {1, 37, 100}) {
      host.reset(memory);
      for (std::size_t at = 0; at < tokens.size(); at += chunk)
        host.evaluate(std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at)));
      const Kept pieces = kept(*host.store());
      std::size_t differing = 0;
      for (std::size_t h = 0; h < whole.size(); ++h) {
        Kept::value_type only;
        std::set_difference(whole[h].begin(), whole[h].end(), pieces[h].begin(), pieces[h].end(), std::back_inserter(only));
        differing += only.size();
      }
      INFO("policy '" << name << "', chunks of " << chunk);
      CHECK(differing <= (*name ? 2 : 0));  // scores read from attention can be near ties
    }
  }
}

TEST_CASE("LlamaHost: what was evaluated is taken back as if it had never been, or that is refused", "[llama][host]") {
  const auto tokens = random_tokens(300, 64, 10);
  const std::span all(tokens);
  const auto copied = [](const LlamaHost& host) { return std::vector<float>(host.logits().begin(), host.logits().end()); };
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  for (const char* const store : {"f16", "q8_0,q4_0", "f16+2means"})
    for (const char* const name : {"full", "h2o"}) {
      INFO(store << ' ' << name);
      const CachePolicy memory = evicting(make_policy(name)).with_store(store);
      const auto read = [&] {
        host.reset(memory);
        host.evaluate(all.first(200));
      };
      read();
      const auto before = copied(host);
      host.evaluate(all.subspan(240, 30));
      const auto expected = (read(), host.evaluate(all.subspan(200, 30)), copied(host));
      const Kept held = kept(*host.store());
      read();
      host.evaluate(all.subspan(250, 40));
      REQUIRE(host.rewind(200, before, 30));
      host.store()->verify();
      CHECK(copied(host) == before);
      host.evaluate(all.subspan(200, 30));
      CHECK(copied(host) == expected);
      CHECK(kept(*host.store()) == held);

      const bool drops = memory.drops();  // then at 256 tokens there is an update
      CHECK(host.rewind(200, before, 56) != drops);
      read();
      host.evaluate(all.subspan(200, 56));
      CHECK(host.rewind(200, before, 1) != drops);
    }

  // layers that have left a window behind, or keep a state of all tokens
  TinyShape windowed, recurrent;
  windowed.architecture = "gemma3";
  recurrent.architecture = "jamba";
  for (const TinyShape& shape : {windowed, recurrent}) {
    LlamaHost other(LlamaModel::load(write_tiny_model(shape)), {});
    other.reset(full_memory());
    other.evaluate(all.first(100));
    const auto before = copied(other);
    other.evaluate(all.subspan(100, 10));
    CHECK_FALSE(other.rewind(100, before, 10));
  }
}

TEST_CASE("LlamaHost: a full context is an error, and reset recovers", "[llama][host]") {
  llama::LlamaHostSettings settings;
  settings.context_tokens = 256;
  settings.chunk_tokens = 100;
  LlamaHost host(LlamaModel::load(write_tiny_model({})), settings);
  host.reset(full_memory());
  const auto tokens = random_tokens(300, 64, 9);
  CHECK_THAT(message([&] { host.evaluate(tokens); }), Contains("holds 256 tokens"));
  host.reset(full_memory());
  host.evaluate(std::span(tokens).first(256));
  CHECK(host.usage().entries == 256 * 6);
}

TEST_CASE("LlamaHost: what cannot be attached to is refused with a reason", "[llama][host]") {
  TinyShape mamba;
  mamba.architecture = "mamba";
  const auto recurrent = LlamaModel::load(write_tiny_model(mamba));
  CHECK_THAT(message([&] { LlamaHost host(recurrent, {}); }), Contains("no KV cache"));

  const auto model = LlamaModel::load(write_tiny_model({}));
  ContextSettings settings;
  settings.memory = full_memory();
  settings.type_k = GGML_TYPE_Q4_0;
  CHECK_THAT(message([&] { Context context(model, settings); }), Contains("f32, bf16 or q8_0, is q4_0 (--cache-type-k)"));
  settings.type_k = GGML_TYPE_F16;
  settings.type_v = GGML_TYPE_Q5_1;
  CHECK_THAT(message([&] { Context context(model, settings); }), Contains("is q5_1 (--cache-type-v)"));
  settings.type_k = settings.type_v = GGML_TYPE_F16;
  settings.flash_attention = false;
  CHECK_THAT(message([&] { Context context(model, settings); }), Contains("enable flash attention"));
  CHECK_THAT(message([] { LlamaModel::load("/nowhere.gguf"); }), Contains("no such file"));
}

TEST_CASE("LlamaHost: chat template and generation of a real model", "[llama][host][real]") {
  for (const auto& path : real_models()) {
    const auto model = LlamaModel::load(path);
    if (model->metadata("tokenizer.chat_template").empty()) continue;
    LlamaHost host(model, {});
    const auto chat = host.chat_template();
    if (model->metadata("tokenizer.chat_template").find("<|im_start|>") == std::string::npos) continue;
    CHECK_THAT(chat.before_user, Catch::Matchers::EndsWith("<|im_start|>user\n"));
    CHECK_THAT(chat.after_user, Catch::Matchers::StartsWith("<|im_end|>"));
    host.reset(full_memory());
    host.evaluate(host.tokenize_template(chat.before_user + "Say hello." + chat.after_user));
    CHECK(!host.generate(4, false).tokens.empty());
  }
}
