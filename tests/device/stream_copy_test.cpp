// A sequence copied from one stream of a cache in device memory to another.
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/device/reading.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("a copy in another stream of a device's cache goes on as if it had been read", "[device][sequences]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  const auto model = load_on_device(write_tiny_model(shape));
  const auto prompt = random_tokens(200, shape.vocabulary, 4), a = random_tokens(80, shape.vocabulary, 5),
             b = random_tokens(90, shape.vocabulary, 6);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 3 * 512;
  params.n_seq_max = 3;
  params.kv_unified = false;
  for (const CachePolicy& policy : held_policies(shape)) {
    CAPTURE(shape.architecture, policy.policy->name());
    const auto straight = [&](const std::vector<std::int32_t>& then) {
      llama::Attached fresh = llama::attach(model->get(), params, policy);
      read(fresh, prompt, 0, 0);
      return read(fresh, then, 0, 200);
    };
    const auto with_a = straight(a), with_b = straight(b);
    REQUIRE(relative_difference({with_a}, {with_b}) > 0.05);
    llama::Attached copied = llama::attach(model->get(), params, policy);
    read(copied, prompt, 0, 0);
    const CacheUsage one = copied.usage();
    read(copied, b, 1, 0);  // what the copy takes the place of
    copied.copy(0, 1);
    copied.copy(0, 2);
    const CacheUsage three = copied.usage();
    CHECK(three.tokens_seen == 600);
    CHECK(three.entries == 3 * one.entries);  // each has rows of its own
    if (policy.policy->name() == std::string("full")) CHECK(three.kv_bytes >= 2 * one.kv_bytes);
    // rows lie in another order, and add up in F16
    CHECK(relative_difference({read(copied, a, 1, 200)}, {with_a}) <= nearly(4e-3));
    CHECK(relative_difference({read(copied, b, 0, 200)}, {with_b}) <= nearly(4e-3));
    copied.remove(0);
    CHECK(relative_difference({read(copied, a, 2, 200)}, {with_a}) <= nearly(4e-3));
    copied.clear();
    CHECK(copied.usage().kv_bytes == 0);
  }
}
