// A model with sliding windows has two caches, of different layers; and its logits are soft-capped.
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("sliding windows and soft caps equal double precision", "[llama][window]") {
  TinyShape shape;
  shape.architecture = "gemma2";
  shape.layers = GENERATE(2, 4);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(700, shape.vocabulary, 16);
  AttentionReference reference, exact;
  ContextSettings settings;
  settings.ubatch = 100;
  settings.whole_window_cache = GENERATE(true, false);  // false: the cells of the window are used again and again
  const auto run = [&](AttentionReference& with) {
    settings.reference = &with;
    Context context(model, settings);
    auto logits = context.evaluate(std::span(tokens).first(690), 100);
    for (auto& row : context.evaluate(std::span(tokens).subspan(690), 1)) logits.push_back(std::move(row));
    if (!settings.memory) return logits;
    const CacheUsage usage = context.store()->usage();
    CHECK(usage.tokens_seen == 700);
    const auto heads = static_cast<std::int64_t>(shape.layers * shape.kv_heads);
    // "full" is what the runtime's own cache holds: in a small window cache, what was not written again
    CHECK(usage.entries == usage.entries_full);
    if (settings.whole_window_cache)
      CHECK(usage.entries == 700 * heads);
    else
      CHECK(usage.entries < 700 * heads * 9 / 10);
    return logits;
  };
  exact.replace = true;
  const auto wanted = run(exact);
  settings.memory = full_memory();
  const auto ours = run(reference);
  INFO("nodes to double " << reference.worst_relative << "; logits, largest " << largest(wanted) << ", apart "
                          << largest_difference(ours, wanted));
  CHECK(reference.nodes == shape.layers * 17);
  CHECK(reference.worst_relative < 1e-5);
  CHECK(largest_difference(ours, wanted) < 5e-4 * largest(wanted));
}
