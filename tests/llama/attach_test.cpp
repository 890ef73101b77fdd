// Contexts beside an attached one, and an attached one whose memory the runtime clears or cuts.
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("a context made outside an AttachScope is left alone", "[llama][attach]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(100, 64, 11);
  AttentionReference reference;
  ContextSettings plain;
  plain.reference = &reference;
  std::vector<std::vector<float>> before;
  {
    Context context(model, plain);
    before = context.evaluate(tokens, 20);
  }
  CHECK(reference.worst_relative > 1e-5);  // llama.cpp's own attention, which works in halves
  ContextSettings attached;
  attached.memory = full_memory();
  Context ours(model, attached), beside(model, plain);
  ours.evaluate(std::span(tokens).first(60), 20);
  CHECK(largest_difference(beside.evaluate(tokens, 20), before) == 0);
  CHECK(ours.store()->usage().tokens_seen == 60);
}

TEST_CASE("two attached contexts of one model are apart", "[llama][attach]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto a = random_tokens(90, 64, 12), b = random_tokens(90, 64, 13);
  ContextSettings settings;
  settings.memory = full_memory();
  const auto alone = [&](const std::vector<std::int32_t>& tokens) {
    Context context(model, settings);
    return context.evaluate(tokens, 30);
  };
  const auto alone_a = alone(a), alone_b = alone(b);
  Context first(model, settings), second(model, settings);
  std::vector<std::vector<float>> both_a, both_b;
  for (std::size_t at = 0; at < 90; at += 30) {
    for (auto& row : first.evaluate(std::span(a).subspan(at, 30), 30)) both_a.push_back(std::move(row));
    for (auto& row : second.evaluate(std::span(b).subspan(at, 30), 30)) both_b.push_back(std::move(row));
  }
  CHECK(largest_difference(alone_a, both_a) == 0);
  CHECK(largest_difference(alone_b, both_b) == 0);
}

TEST_CASE("memory that the runtime clears or cuts is reused", "[llama][attach]") {
  TinyShape shape;
  shape.layers = 1;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto a = random_tokens(200, 64, 14), b = random_tokens(120, 64, 15);
  const bool evict = GENERATE(false, true);
  ContextSettings settings;
  settings.cells = 256;
  settings.memory = full_memory();
  if (evict) {
    settings.memory->policy = std::make_shared<SeededPolicy>();
    settings.memory->selection.budget = {Budget::Unit::tokens, 30};
    settings.memory->interval_tokens = 40;
  }
  Context used(model, settings);
  used.evaluate(a, 40);

  SECTION("cleared without a word to the store") {
    Context fresh(model, settings);
    used.clear();
    const auto again = used.evaluate(b, 40), expected = fresh.evaluate(b, 40);
    CHECK(largest_difference(again, expected) <= 1e-5 * largest(expected));
  }
  SECTION("cut in the middle and continued") {
    if (evict) return;  // what was evicted of the beginning depends on the removed end
    std::vector<std::int32_t> joined(a.begin(), a.begin() + 80);
    joined.insert(joined.end(), b.begin(), b.end());
    Context fresh(model, settings);
    const auto expected = fresh.evaluate(joined, 40);
    REQUIRE(used.remove_from(80));
    const auto again = used.evaluate(b, 40);
    CHECK(largest_difference(again, {expected.begin() + 80, expected.end()}) <= 1e-5 * largest(expected));
    CHECK(used.store()->usage().entries == 200 * 2);
  }
}
