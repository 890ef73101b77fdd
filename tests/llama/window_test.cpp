// A model with sliding windows has two caches, of different layers; and its logits are soft-capped.
#include <cmath>

#include "namm/llama.hpp"
#include "namm/policy.hpp"
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

TEST_CASE("a sequence that was read before windows were known has its branches in both caches", "[llama][window]") {
  TinyShape shape;
  shape.architecture = "gemma2";
  shape.layers = 2;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(100, shape.vocabulary, 16);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_batch = 128;
  params.n_ubatch = 32;
  params.n_seq_max = 3;
  params.kv_unified = params.swa_full = true;  // as many cells in both caches: which one is the window's shows in masks
  params.n_threads = params.n_threads_batch = 1;
  const auto read = [&](llama::Attached& attached, const std::vector<std::pair<int, int>>& counts) {  // (sequence, tokens)
    llama_batch batch = llama_batch_init(128, 0, 1);
    for (const auto& [sequence, count] : counts) {
      const int from = llama_memory_seq_pos_max(llama_get_memory(attached.context()), sequence) + 1;
      for (int at = from; at < from + count; ++at) {
        const int i = batch.n_tokens++;
        batch.token[i] = tokens[static_cast<std::size_t>(at)];
        batch.pos[i] = at;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = sequence;
        batch.logits[i] = 1;
      }
    }
    const std::unique_ptr<llama_batch, void (*)(llama_batch*)> freed(&batch, [](llama_batch* b) { llama_batch_free(*b); });
    attached.decode(batch);
    const float* const row = llama_get_logits_ith(attached.context(), -1);
    return std::vector<float>(row, row + shape.vocabulary);
  };
  const CachePolicy policy = load_policy("h2o-mean").with_budget("1000").with_interval(16);  // nothing goes but by windows
  llama::Attached attached = llama::attach(model->get(), params, policy);
  read(attached, {{0, 16}});
  read(attached, {{2, 38}});  // longer than the window of 24: now it is known
  attached.copy(0, 1);
  // the first part takes sequence 0 beyond its window, the second goes on with the branch, which still sees all of the trunk
  const auto branch = read(attached, {{0, 34}, {1, 4}});
  llama::Attached alone = llama::attach(model->get(), params, policy);
  const auto expected = read(alone, {{1, 20}});
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    apart = std::max(apart, std::abs(static_cast<double>(branch[i]) - static_cast<double>(expected[i])));
    size = std::max(size, std::abs(static_cast<double>(expected[i])));
  }
  CHECK(apart < 1e-4 * size);
  // and what is removed is removed in both
  for (const int sequence : {0, 1, 2}) attached.remove(sequence);
  CHECK(attached.usage().entries == 0);
  CHECK(attached.usage().kv_bytes == 0);
}
