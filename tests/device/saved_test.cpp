// Sessions of a cache in device memory, saved and restored.
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/support/probe_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

std::vector<CachePolicy> policies(const TinyShape& shape) {
  std::vector<LayerDescription> cached;
  for (int layer = 0; layer < shape.layers; ++layer) cached.push_back({layer, shape.kv_heads, shape.head_size, shape.head_size});
  std::vector<CachePolicy> out;
  for (const std::shared_ptr<const Policy>& policy : std::vector<std::shared_ptr<const Policy>>{
           make_policy("full"), make_policy("random"), make_policy("h2o"), probe_policy(cached, 3)}) {
    CachePolicy& memory = out.emplace_back();
    memory.policy = policy;
    memory.interval_tokens = 64;
    if (policy->name() == std::string("full")) continue;
    memory.selection.budget = {Budget::Unit::tokens, 48};
    memory.selection.sinks = 2;
    memory.selection.recent = 8;
  }
  return out;
}

/// Tokens of a sequence, in batches of 40; the logits behind the last.
std::vector<float> read(llama::Attached& attached, std::span<const std::int32_t> tokens, llama_seq_id sequence, int from) {
  llama_batch batch = llama_batch_init(40, 0, 1);
  for (std::size_t at = 0; at < tokens.size(); at += 40) {
    batch.n_tokens = static_cast<std::int32_t>(std::min<std::size_t>(40, tokens.size() - at));
    for (int i = 0; i < batch.n_tokens; ++i) {
      batch.token[i] = tokens[at + static_cast<std::size_t>(i)];
      batch.pos[i] = from + static_cast<int>(at) + i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = sequence;
      batch.logits[i] = i + 1 == batch.n_tokens;
    }
    attached.decode(batch);
  }
  llama_batch_free(batch);
  const float* const logits = llama_get_logits_ith(attached.context(), -1);
  return {logits, logits + 64};
}

}  // namespace

TEST_CASE("a sequence saved from device memory goes on in another context as it would have", "[device][saved]") {
  TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto tokens = random_tokens(280, shape.vocabulary, 4), others = random_tokens(90, shape.vocabulary, 5);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  params.n_seq_max = 2;
  for (const bool unified : {true, false})
    for (const CachePolicy& policy : policies(shape)) {
      params.kv_unified = unified;
      INFO(policy.policy->name() << (unified ? ", one cache" : ", a cache for each sequence"));
      llama::Attached first = llama::attach(model->get(), params, policy), second = llama::attach(model->get(), params, policy);
      read(first, std::span(tokens).first(200), 0, 0);
      const std::vector<std::byte> saved = first.save(0);
      read(second, others, 1, 0);  // whose rows lie where the restored ones would
      second.load(saved, 0);
      CHECK(second.usage().entries >= first.usage().entries);
      const auto expected = read(first, std::span(tokens).subspan(200), 0, 200);
      const auto got = read(second, std::span(tokens).subspan(200), 0, 200);
      CHECK(relative_difference({got}, {expected}) <= nearly(4e-3));  // rows lie in another order, and add up in F16
      second.remove(1, 0);
      CHECK(second.usage().entries == first.usage().entries);
      CHECK(second.usage().kv_bytes == first.usage().kv_bytes);
      const auto there = first.content(), here = second.content();
      REQUIRE(there.size() == here.size());
      for (std::size_t h = 0; h < here.size() && !on_real_devices(); ++h) CHECK(here[h].positions == there[h].positions);
      std::vector<std::byte> damaged = saved;
      damaged[damaged.size() / 2] ^= std::byte{1};
      CHECK_THROWS_WITH(second.load(damaged, 0), Catch::Contains("checksum"));
      params.offload_kqv = false;
      CHECK_THROWS_WITH(llama::attach(model->get(), params, policy).load(saved, 0), Catch::Contains("in device memory"));
      params.offload_kqv = true;
    }
}
