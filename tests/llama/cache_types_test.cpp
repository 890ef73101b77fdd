// Types of the runtime's cache: the store holds F16 and computes with the numbers that the runtime would have.
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("a cache of any known type gives the runtime's numbers", "[llama][types]") {
  struct Types {
    ggml_type k, v;
    double bytes;  // per key and value of one number
  };
  const auto types = GENERATE(values<Types>({{GGML_TYPE_F32, GGML_TYPE_F32, 8},
                                             {GGML_TYPE_BF16, GGML_TYPE_BF16, 4},
                                             {GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 2 * 34.0 / 32},
                                             {GGML_TYPE_Q8_0, GGML_TYPE_F16, 34.0 / 32 + 2},
                                             {GGML_TYPE_F16, GGML_TYPE_F32, 6}}));
  INFO(ggml_type_name(types.k) << " and " << ggml_type_name(types.v));
  TinyShape shape;
  shape.layers = 2;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(150, shape.vocabulary, 23);
  ContextSettings settings;
  settings.type_k = types.k;
  settings.type_v = types.v;
  AttentionReference exact, ours;
  exact.replace = true;
  const auto run = [&](AttentionReference& reference) {
    settings.reference = &reference;
    Context context(model, settings);
    auto logits = context.evaluate(std::span(tokens).first(140), 35);
    for (auto& row : context.evaluate(std::span(tokens).subspan(140), 1)) logits.push_back(std::move(row));
    if (context.store()) {
      const CacheUsage usage = context.store()->usage();
      CHECK(usage.entries_full == 150 * 2 * 2);
      CHECK(usage.kv_bytes_full == std::llround(150 * 2 * 2 * 32 * types.bytes));
    }
    return logits;
  };
  const auto wanted = run(exact);
  settings.memory = full_memory();
  const auto attached = run(ours);
  INFO("nodes " << ours.worst_relative << ", logits apart " << largest_difference(attached, wanted) / largest(wanted));
  CHECK(ours.nodes == 2 * 14);
  CHECK(ours.worst_relative < 1e-5);
  // two layers: what the first rounds differently the second may round to a neighbouring number of the cache's type
  CHECK(largest_difference(attached, wanted) <
        (types.k == GGML_TYPE_F32 || types.k == GGML_TYPE_F16 ? 5e-4 : 5e-3) * largest(wanted));
}
