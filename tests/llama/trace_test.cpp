// Traces recorded on a live host, against that host.
#include "adapters/llama_cpp/host/llama_host.hpp"

#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/core/samples.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/probe_policy.hpp"
#include "tests/support/tiny_model.hpp"
#include "trace/recorder.hpp"
#include "trace/replay.hpp"

using namespace namm;
using namespace namm::test;
using llama::LlamaHost;
using llama::LlamaModel;

namespace {

constexpr std::size_t kContext = 160, kTail = 20;

trace::Settings settings_for(const Host& host) {
  trace::Settings out;
  out.host = host.description();
  out.interval_tokens = 64;
  out.rows = trace::Rows::f32;
  for (const LayerDescription& layer : out.host.cached) {
    if (layer.window != 0) continue;
    out.layers.push_back({layer, {}});
    for (int head = 0; head < layer.kv_heads; ++head) out.layers.back().heads.push_back(head);
  }
  return out;
}

trace::PromptRecord record(LlamaHost& host, const trace::Settings& settings, std::span<const Token> tokens) {
  trace::PromptFacts facts;
  facts.compressed.assign(tokens.begin(), tokens.begin() + kContext);
  facts.tail.assign(tokens.begin() + kContext, tokens.end());
  facts.answer_tokens = 6;
  const auto recorder = std::make_shared<trace::Recorder>(settings, facts);
  CachePolicy memory;
  memory.observer = recorder;
  memory.interval_tokens = settings.interval_tokens;
  host.reset(memory);
  host.evaluate(tokens.first(kContext));
  host.update();
  host.evaluate(tokens.subspan(kContext));
  return recorder->finish();
}

std::shared_ptr<const Policy> made(const PolicyEntry& entry, const HostDescription& host) {
  if (entry.fitted) return probe_policy(host.cached, 1);
  std::unique_ptr<Policy> policy = entry.make(nlohmann::json::object());
  std::vector<float> parameters = policy->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = 0.1f * static_cast<float>(static_cast<int>(i * 7 % 11) - 5);
  policy->set_parameters(parameters);
  return policy;
}

std::vector<std::vector<std::int32_t>> positions_of(const std::vector<HeadContent>& content) {
  std::vector<std::vector<std::int32_t>> out;
  for (const HeadContent& head : content) out.push_back(head.positions);
  return out;
}

}  // namespace

TEST_CASE("trace: the first eviction of a replay is the live one, for every policy", "[llama][trace]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  const auto tokens = random_tokens(kContext + kTail, 64, 21);
  const trace::Settings settings = settings_for(host);
  const trace::PromptRecord recorded = record(host, settings, tokens);
  trace::ContentMemory contents;
  const auto compare = [&](const PolicyEntry& entry, SelectionMode mode, int interval, bool at_first_update) {
    CAPTURE(entry.name, to_string(mode), interval, at_first_update);
    CachePolicy memory;
    memory.policy = made(entry, host.description());
    memory.selection.mode = mode;
    memory.interval_tokens = interval;
    // 40: the first update evicts; 150: only the end of the context does
    memory.selection.budget = {Budget::Unit::tokens, at_first_update ? 40.0 : 150.0};
    const std::size_t count = at_first_update ? static_cast<std::size_t>(interval) : kContext;
    host.reset(memory);
    host.evaluate(std::span(tokens).first(count));
    trace::Replay replay(settings, recorded, memory, contents.of(recorded, memory));
    replay.advance(count);
    if (!at_first_update) {
      host.update();
      replay.update();
    }
    REQUIRE(positions_of(replay.content()) == positions_of(host.content()));
    if (entry.name != "full") REQUIRE(host.usage().entries < host.usage().entries_full);
  };
  for (const PolicyEntry& entry : policy_registry()) {
    for (const SelectionMode mode : {SelectionMode::uniform, SelectionMode::pooled}) compare(entry, mode, 64, true);
    compare(entry, SelectionMode::threshold, 64, true);
    compare(entry, SelectionMode::uniform, 64, false);
    compare(entry, SelectionMode::pooled, 128, true);
  }
}

TEST_CASE("trace: without keys and values everything else is as it was", "[llama][trace]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  const auto tokens = random_tokens(kContext + kTail, 64, 23);
  const trace::Settings settings = settings_for(host);
  const trace::PromptRecord recorded = record(host, settings, tokens);
  trace::Settings slim = settings;
  slim.rows = trace::Rows::none;
  const trace::PromptRecord rest = trace::without_rows(recorded, slim);
  CHECK(rest.facts.compressed == recorded.facts.compressed);
  REQUIRE(rest.layers.size() == recorded.layers.size());
  for (std::size_t l = 0; l < rest.layers.size(); ++l) {
    const trace::LayerRecord &a = rest.layers[l], &b = recorded.layers[l];
    CHECK(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin()));
    CHECK(a.bytes().size() < b.bytes().size());
    for (std::size_t head = 0; head < a.layer().heads.size(); ++head) {
      const auto one = a.statistics(head, 1).accumulated, other = b.statistics(head, 1).accumulated;
      CHECK(std::equal(one.begin(), one.end(), other.begin(), other.end()));
    }
    CHECK(b.has_rows());
    CHECK_FALSE(a.has_rows());
    std::vector<float> keys, values;
    CHECK_THROWS_AS(a.read_rows(0, 1, keys, values), std::logic_error);
  }
}

TEST_CASE("trace: attention from question and answer is that of the recorded queries", "[llama][trace]") {
  LlamaHost host(LlamaModel::load(write_tiny_model({})), {});
  const auto tokens = random_tokens(kContext + kTail, 64, 22);
  const trace::Settings settings = settings_for(host);
  const trace::PromptRecord recorded = record(host, settings, tokens);
  // the last row that a policy sees after `count` tokens is the attention of the last of them
  struct LastRows final : Policy {
    std::string_view name() const override { return "last-rows"; }
    StatisticSet required() const override { return Statistic::last_row; }
    void score(const HeadTokens& head, std::span<float> scores) const override {
      std::fill(scores.begin(), scores.end(), 0.0f);
      if (head.layer != 1 || head.kv_head != 1) return;
      for (std::size_t i = 0; i < kContext; ++i) sum[i] += head.last_row[i];
    }
    std::unique_ptr<Policy> clone() const override { return std::make_unique<LastRows>(*this); }
    nlohmann::json to_json() const override { return {}; }
    mutable std::vector<double> sum = std::vector<double>(kContext);
  };
  const auto watched = [&](std::size_t first, std::size_t count) {
    const auto policy = std::make_shared<LastRows>();
    CachePolicy memory;
    memory.policy = policy;
    memory.interval_tokens = 1 << 20;
    host.reset(memory);
    host.evaluate(std::span(tokens).first(first));
    for (std::size_t i = 0; i < count; ++i) {
      host.evaluate(std::span(tokens).subspan(first + i, 1));
      host.update();
    }
    return policy->sum;
  };
  // 14 tokens ask, 6 answer: queries 0..12 ask, 13..18 write the answer, 19 writes what follows
  const auto question = watched(kContext, 13), answer = watched(kContext + 13, 6);
  for (std::size_t i = 0; i < kContext; ++i) {
    REQUIRE(recorded.layers[1].token_values(1, trace::Layout::question)[i] ==
            Approx(question[i] / 13).epsilon(0.01).margin(1e-6));
    REQUIRE(recorded.layers[1].token_values(1, trace::Layout::answer)[i] == Approx(answer[i] / 6).epsilon(0.01).margin(1e-6));
  }
}
