// Going on from a snapshot, against going on without one; the fitness semi-live, against live.
#include "adapters/llama_cpp/host/llama_host.hpp"
#include "evolve/fitness.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/probe_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::LlamaHost;
using llama::LlamaModel;

namespace {

CachePolicy memory_of(std::shared_ptr<const Policy> policy, double tokens, int interval) {
  CachePolicy out;
  out.policy = std::move(policy);
  out.selection.budget = {Budget::Unit::tokens, tokens};
  out.interval_tokens = interval;
  return out;
}

Prompt some_prompt() {
  Prompt prompt;
  prompt.sample.id = "p";
  prompt.context = random_tokens(130, 64, 5);
  prompt.question = random_tokens(12, 64, 6);
  prompt.answer = random_tokens(5, 64, 7);
  return prompt;
}

std::vector<float> logits_of(const Host& host) {
  return {host.logits().begin(), host.logits().end()};
}

bool windowed(const Host& host, int layer) {
  for (const LayerDescription& one : host.description().cached)
    if (one.layer == layer) return one.window != 0;
  return false;
}

double largest_gap(const std::vector<float>& a, const std::vector<float>& b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(static_cast<double>(a[i]) - b[i]));
  return out;
}

}  // namespace

TEST_CASE("snapshot: a branch of everything goes on to the bit, a branch of some tokens as if the others were evicted",
          "[llama][snapshot]") {
  for (const Backbone& backbone : backbones()) {
    CAPTURE(backbone.name);
    const auto model = LlamaModel::load(write_tiny_model(backbone.shape));
    LlamaHost host(model, {}), other(model, {});
    const auto& layers = host.description().cached;
    const bool windows = std::any_of(layers.begin(), layers.end(), [](const auto& layer) { return layer.window != 0; });
    const auto tokens = random_tokens(150, backbone.shape.vocabulary, 31);
    const std::span all(tokens);
    host.reset({});
    host.evaluate(all.first(120));
    host.evaluate(all.subspan(120));
    const std::vector<float> full = logits_of(host);

    host.reset({});
    host.evaluate(all.first(120));
    const auto snapshot = host.snapshot();
    REQUIRE(snapshot);
    CHECK(snapshot->bytes() > 0);
    const std::vector<float> before = logits_of(host);
    other.reset({});
    other.evaluate(all.first(37));  // a context in another state
    for (LlamaHost* const to : {&host, &other}) {
      to->branch(*snapshot, {});
      CHECK(logits_of(*to) == before);
      to->evaluate(all.subspan(120));
      if (windows)  // the runtime does not save what left a window: other blocks, other last bits
        CHECK(largest_gap(logits_of(*to), full) < 1e-4);
      else
        CHECK(logits_of(*to) == full);
    }

    host.reset(memory_of(std::make_shared<SeededPolicy>(), 30, 1 << 20));
    host.evaluate(all.first(120));
    host.update();
    const auto kept = host.content();
    host.evaluate(all.subspan(120));
    const std::vector<float> evicted = logits_of(host);
    other.branch(*snapshot, kept);
    const auto there = other.content();
    for (std::size_t h = 0; h < kept.size(); ++h)
      if (!windowed(host, kept[h].layer)) REQUIRE(there[h].positions == kept[h].positions);
    other.evaluate(all.subspan(120));
    CHECK(largest_gap(logits_of(other), evicted) < 1e-4);
    CHECK(largest_gap(evicted, full) > 1e-3);
    for (std::size_t i = 0; i < 3; ++i) other.branch(*snapshot, kept);  // as often as one likes
    other.evaluate(all.subspan(120));
    CHECK(largest_gap(logits_of(other), evicted) < 1e-4);
  }
}

TEST_CASE("snapshot: branches read side by side say what they say one after the other", "[llama][snapshot]") {
  for (const Backbone& backbone : backbones()) {
    CAPTURE(backbone.name);
    const auto model = LlamaModel::load(write_tiny_model(backbone.shape));
    llama::LlamaHostSettings settings;
    settings.context_tokens = 512;
    settings.chunk_tokens = 64;  // so that nine branches' texts take several turns
    LlamaHost host(model, settings);
    const auto tokens = random_tokens(200, backbone.shape.vocabulary, 37);
    const std::span all(tokens);
    host.reset({});
    for (std::size_t i = 0; i < 120; i += 60) host.evaluate(all.subspan(i, 60));
    const auto snapshot = host.snapshot();
    REQUIRE(snapshot);
    std::vector<std::vector<HeadContent>> branches(2 * 8 + 1);  // two turns and one; the first two keep everything
    for (std::size_t b = 2; b < branches.size(); ++b)
      for (const LayerDescription& layer : host.description().cached)
        for (int h = 0; h < layer.kv_heads && layer.window == 0; ++h) {
          HeadContent& head = branches[b].emplace_back(HeadContent{layer.layer, h, {}});
          for (std::int32_t p = static_cast<std::int32_t>(b) % 5; p < 120; p += 3 + h + static_cast<std::int32_t>(b))
            head.positions.push_back(p);
        }
    struct Text {
      std::size_t question, answer;
    };
    for (const auto& [question, answer] : {Text{12, 5}, Text{0, 1}, Text{0, 6}, Text{1, 1}, Text{3, 40}}) {
      CAPTURE(question, answer);
      const auto asked = all.subspan(120, question), answered = all.subspan(120 + question, answer);
      const auto expected = host.Host::branch_log_likelihoods(*snapshot, branches, asked, answered);
      REQUIRE(expected.size() == branches.size());
      for (const std::size_t count : {0, 1, 7, 8, 9, 17}) {
        const auto got = host.branch_log_likelihoods(*snapshot, std::span(branches).first(count), asked, answered);
        REQUIRE(got.size() == count);
        for (std::size_t b = 0; b < count; ++b) {
          REQUIRE(got[b].size() == answer);
          for (std::size_t i = 0; i < answer; ++i) REQUIRE(got[b][i] == Approx(expected[b][i]).margin(1e-4));
        }
      }
      if (question > 0) CHECK(std::abs(expected[2][0] - expected[0][0]) > 1e-4);  // dropping makes a difference
    }
    const auto longest = random_tokens(512 - 120 + 1, backbone.shape.vocabulary, 38);  // the context is full then, eight times
    CHECK(host.branch_log_likelihoods(*snapshot, std::span(branches).first(8), {}, longest).back().size() == longest.size());
    CHECK_THROWS_WITH(host.branch_log_likelihoods(*snapshot, std::span(branches).first(1), {}, std::vector<Token>(500, 1)),
                      Contains("enlarge it (--context)"));
    settings.chunk_tokens = 3;  // fewer than branches
    LlamaHost small(model, settings);
    const auto answered = all.subspan(120, 5);
    const auto expected = host.branch_log_likelihoods(*snapshot, branches, {}, answered);
    const auto got = small.branch_log_likelihoods(*snapshot, branches, {}, answered);
    for (std::size_t b = 0; b < branches.size(); ++b)
      for (std::size_t i = 0; i < answered.size(); ++i) REQUIRE(got[b][i] == Approx(expected[b][i]).margin(1e-4));
    small.reset({});
    CHECK_THROWS_WITH(small.branch_log_likelihoods(*small.snapshot(), std::span(branches).first(1), {}, answered),
                      Contains("nothing was evaluated"));
  }
}

TEST_CASE("semi-live: candidates measured together have the values they have alone", "[llama][snapshot]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  const Prompt prompt = some_prompt();
  const auto semi = evolve::make_fitness("semi-live");
  CHECK(semi->together() > 1);
  std::vector<CachePolicy> memories = {memory_of(nullptr, 200, 256)};
  for (const char* const name : {"h2o", "snapkv", "random", "streaming", "namm", "full"})
    memories.push_back(memory_of(make_policy(name), 40, 256));
  memories.push_back(memory_of(probe_policy(host.description().cached, 1), 40, 256));  // has a prefill of its own
  memories.push_back(memory_of(make_policy("h2o"), 30, 32));
  for (const bool question_after : {true, false}) {
    ProtocolSettings protocol;
    protocol.question_after = question_after;
    const std::vector<double> together = semi->measure_together(host, memories, prompt, protocol);
    REQUIRE(together.size() == memories.size());
    for (std::size_t i = 0; i < memories.size(); ++i)
      CHECK(together[i] == Approx(semi->measure(host, memories[i], prompt, protocol)).margin(1e-5));
    CHECK(std::abs(together[1] - together[0]) > 1e-3);
  }
}

TEST_CASE("semi-live: nothing dropped is the full cache to the bit, one eviction at the end is the live one",
          "[llama][snapshot]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  Prompt prompt = some_prompt();
  const auto live = evolve::make_fitness("answer-likelihood"), semi = evolve::make_fitness("semi-live");
  const ProtocolSettings protocol;
  const auto value = [&](const evolve::Fitness& fitness, const CachePolicy& memory) {
    return fitness.measure(host, memory, prompt, protocol);
  };
  const double full = value(*semi, memory_of(nullptr, 200, 256));
  CHECK(full == Approx(value(*live, memory_of(nullptr, 200, 256))).margin(1e-5));  // which keeps no statistics
  CHECK(value(*semi, memory_of(make_policy("full"), 20, 256)) == full);
  CHECK(value(*semi, memory_of(make_policy("h2o"), 200, 256)) == full);
  for (const char* const name : {"h2o", "snapkv", "random", "streaming", "namm"}) {
    CAPTURE(name);
    const CachePolicy once = memory_of(make_policy(name), 40, 256);  // the interval is longer than the prompt
    const double expected = value(*live, once);
    CHECK(value(*semi, once) == Approx(expected).margin(1e-5));
    CHECK(std::abs(expected - full) > 1e-3);
  }
  // probes read keys at the prefill, each its own: whose turn it is must not matter
  const std::shared_ptr<const Policy> probes[] = {probe_policy(host.description().cached, 1),
                                                  probe_policy(host.description().cached, 2)};
  double expected[2];
  for (int i = 0; i < 2; ++i) expected[i] = value(*live, memory_of(probes[i], 40, 256));
  CHECK(std::abs(expected[0] - expected[1]) > 1e-3);
  for (const int i : {0, 1, 0, 0, 1}) {
    CHECK(value(*semi, memory_of(probes[i], 40, 256)) == Approx(expected[i]).margin(1e-5));
    CHECK(value(*semi, memory_of(nullptr, 200, 256)) == Approx(full).margin(1e-5));
  }
  // evictions on the way: the same kind of number, not the same
  const CachePolicy often = memory_of(make_policy("h2o"), 30, 32);
  CHECK(value(*semi, often) == Approx(value(*live, often)).margin(1));
  prompt.answer.clear();
  CHECK_THROWS_WITH(value(*semi, often), Contains("must have a gold answer"));
}
