// Sessions of a cache in device memory, saved and restored.
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/device/reading.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("a sequence saved from device memory goes on in another context as it would have", "[device][saved]") {
  TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto tokens = random_tokens(280, shape.vocabulary, 4), others = random_tokens(90, shape.vocabulary, 5);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  params.n_seq_max = 2;
  for (const bool unified : {true, false})
    for (const CachePolicy& policy : held_policies(shape)) {
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

TEST_CASE("a sequence of a cache of another type is saved as it is held", "[device][saved][types]") {
  TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto tokens = random_tokens(280, shape.vocabulary, 4);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  const ggml_type type = GENERATE(GGML_TYPE_BF16, GGML_TYPE_Q8_0);
  CachePolicy policy = held_policies(shape)[1];
  params.type_k = params.type_v = type;
  llama::Attached first = llama::attach(model->get(), params, policy), second = llama::attach(model->get(), params, policy);
  read(first, std::span(tokens).first(200), 0, 0);
  const std::vector<std::byte> saved = first.save(0);
  second.load(saved, 0);
  CHECK(second.usage().entries == first.usage().entries);
  CHECK(second.usage().kv_bytes == first.usage().kv_bytes);
  const auto expected = read(first, std::span(tokens).subspan(200), 0, 200);
  CHECK(relative_difference({read(second, std::span(tokens).subspan(200), 0, 200)}, {expected}) <= nearly(4e-3));
  params.type_k = params.type_v = GGML_TYPE_F16;
  CHECK_THROWS_WITH(llama::attach(model->get(), params, policy).load(saved, 0),
                    Catch::Contains(std::string("in device memory as ").append(ggml_type_name(type))));
}
