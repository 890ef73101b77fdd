// Several sequences in one cache must not see each other: logits as in separate runs, each sequence updated on its own.
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

constexpr int kSequences = 3;

/// Tokens per sequence and batch; 0 = not in this batch.
constexpr int kPlan[][kSequences] = {{30, 10, 0}, {7, 7, 7}, {1, 1, 1}, {0, 40, 12},
                                     {25, 0, 33}, {1, 1, 1}, {1, 0, 1}, {16, 16, 16}};

CachePolicy evicting() {
  CachePolicy memory;
  memory.policy = std::make_shared<SeededPolicy>();
  memory.selection.mode = SelectionMode::pooled;
  memory.selection.budget = {Budget::Unit::tokens, 20};
  memory.interval_tokens = 16;
  return memory;
}

}  // namespace

TEST_CASE("sequences in one cache do not see each other", "[llama][sequences]") {
  TinyShape shape;
  shape.layers = GENERATE(1, 3);
  const bool unified = GENERATE(true, false);
  const bool interleaved = GENERATE(true, false);
  const bool evict = GENERATE(false, true);
  INFO(shape.layers << " layers, " << (unified ? "one cache" : "one stream each") << (interleaved ? ", interleaved" : ", in turn")
                    << (evict ? ", evicting" : ", full"));
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  ContextSettings settings;
  settings.memory = evict ? evicting() : full_memory();

  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::vector<std::vector<float>>> alone(kSequences), together(kSequences);
  CacheUsage sum;
  for (int s = 0; s < kSequences; ++s) {
    tokens.push_back(random_tokens(256, shape.vocabulary, static_cast<unsigned>(10 + s)));
    Context context(model, settings);
    std::size_t at = 0;
    for (const auto& row : kPlan) {
      if (row[s] == 0) continue;
      for (auto& logits : context.evaluate(std::span(tokens.back()).subspan(at, static_cast<std::size_t>(row[s])), 64))
        alone[s].push_back(std::move(logits));
      at += static_cast<std::size_t>(row[s]);
    }
    const CacheUsage one = context.store()->usage();
    sum.updates += one.updates;
    sum.entries += one.entries;
    sum.tokens_seen += one.tokens_seen;
  }

  AttentionReference reference;
  settings.sequences = kSequences;
  settings.unified = unified;
  if (!evict) settings.reference = &reference;
  Context context(model, settings);
  std::vector<std::size_t> at(kSequences, 0);
  for (const auto& row : kPlan) {
    std::vector<Step> steps;
    std::vector<int> left(row, row + kSequences);
    for (bool more = true; more;) {
      more = false;
      for (int s = 0; s < kSequences; ++s)
        for (bool again = true; again && left[s] > 0; again = !interleaved) {
          steps.push_back({tokens[s][at[s]++], s});
          --left[s];
          more = true;
        }
    }
    const auto logits = context.decode(steps);
    for (std::size_t i = 0; i < steps.size(); ++i) together[static_cast<std::size_t>(steps[i].sequence)].push_back(logits[i]);
  }
  for (int s = 0; s < kSequences; ++s) {
    INFO("sequence " << s << ": apart " << largest_difference(alone[s], together[s]) << " of " << largest(alone[s]));
    CHECK(largest_difference(alone[s], together[s]) < (shape.layers == 1 ? 1e-5 : 5e-4) * largest(alone[s]));
  }
  if (!evict) CHECK(reference.worst_relative < 1e-5);
  const CacheUsage all = context.store()->usage();
  CHECK(all.tokens_seen == sum.tokens_seen);
  CHECK(all.entries == sum.entries);
  CHECK(all.updates == sum.updates);
}
