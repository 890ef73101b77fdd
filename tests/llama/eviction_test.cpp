// After eviction a run must be what attention over all tokens with the dropped ones masked would give. Which tokens are dropped
// is computed here a second time; heads of one layer end with different lengths.
#include <algorithm>
#include <set>
#include <tuple>

#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

using Entry = std::tuple<int, int, std::int64_t>;  // layer, KV head, cell (= position: one sequence in a fresh context)
constexpr int kSinks = 2, kRecent = 5, kInterval = 32, kBudget = 24;

struct Head {
  int layer, kv_head;
};

/// What may be dropped after `seen` tokens, and what is, as the documentation of select() says.
void drop(SelectionMode mode, const std::vector<Head>& heads, int seen, std::set<Entry>& dropped) {
  struct Candidate {
    bool is_protected;
    float score;
    Entry entry;
  };
  std::vector<Candidate> candidates;
  for (const Head& head : heads)
    for (int p = 0; p < seen; ++p)
      if (const Entry entry{head.layer, head.kv_head, p}; !dropped.contains(entry))
        candidates.push_back({p < kSinks || p >= seen - kRecent, seeded_score(head.layer, head.kv_head, p), entry});
  if (mode == SelectionMode::threshold) {
    for (const Candidate& c : candidates)
      if (!c.is_protected && c.score < 0) dropped.insert(c.entry);
    return;
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tuple(a.is_protected, a.score) > std::tuple(b.is_protected, b.score);
  });
  for (std::size_t i = kBudget * heads.size(); i < candidates.size(); ++i) dropped.insert(candidates[i].entry);
}

CachePolicy seeded_memory(SelectionMode mode) {
  CachePolicy memory;
  memory.policy = std::make_shared<SeededPolicy>();
  memory.selection.mode = mode;
  if (mode == SelectionMode::pooled) memory.selection.budget = {Budget::Unit::tokens, kBudget};
  memory.selection.sinks = kSinks;
  memory.selection.recent = kRecent;
  memory.interval_tokens = kInterval;
  return memory;
}

}  // namespace

TEST_CASE("evicted entries are as if they were masked", "[llama][eviction]") {
  TinyShape shape;
  if (GENERATE(false, true)) shape.architecture = "jamba";
  const bool single = GENERATE(false, true) || shape.architecture == "jamba";
  if (single && shape.architecture == "llama") shape.layers = 1;
  const SelectionMode mode = GENERATE(SelectionMode::threshold, SelectionMode::pooled);
  INFO(shape.architecture << ", " << shape.layers << " layers, " << to_string(mode));
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(300, shape.vocabulary, 4);
  std::vector<Head> heads;
  for (int layer = 0; layer < shape.layers; ++layer)
    for (int h = 0; h < shape.kv_heads; ++h)
      if (shape.architecture == "llama" || layer == shape.attention_layer) heads.push_back({layer, h});

  std::set<Entry> dropped;
  const auto run = [&](bool evicting, AttentionReference& reference) {
    dropped.clear();
    reference.hidden = [&](int layer, int head, std::int64_t cell) { return dropped.contains(Entry{layer, head, cell}); };
    ContextSettings settings;
    if (evicting) settings.memory = seeded_memory(mode);
    settings.reference = &reference;
    Context context(model, settings);
    std::vector<std::vector<float>> logits;
    for (std::size_t at = 0; at < tokens.size();) {
      const std::size_t count = at < 260 ? 20 : 1;  // batches that end on and off the interval, then single tokens
      for (auto& row : context.evaluate(std::span(tokens).subspan(at, count), count)) logits.push_back(std::move(row));
      if (at / kInterval != (at + count) / kInterval) drop(mode, heads, static_cast<int>(at + count), dropped);
      at += count;
    }
    if (evicting) {
      std::set<std::size_t> lengths;
      for (const auto& content : context.store()->content()) {
        std::vector<std::int32_t> expected;
        for (int p = 0; p < static_cast<int>(tokens.size()); ++p)
          if (!dropped.contains(Entry{content.layer, content.kv_head, p})) expected.push_back(p);
        CHECK(content.positions == expected);
        if (content.layer == heads.front().layer) lengths.insert(expected.size());
      }
      CHECK(lengths.size() > 1);
    }
    return logits;
  };
  AttentionReference evicting, masked;
  masked.replace = true;
  const auto ours = run(true, evicting);
  CHECK(evicting.nodes > 0);
  CHECK(evicting.worst_relative < 1e-5);
  const auto exact = run(false, masked);  // plain llama.cpp whose attention nodes are replaced by the masked double result
  const double apart = largest_difference(ours, exact), top = largest(exact);
  INFO("nodes to double " << evicting.worst_relative << "; logits, largest " << top << ", apart " << apart);
  CHECK(apart < (single ? 1e-5 : 5e-4) * top);  // see attention_exactness_test.cpp for the second bound
}

TEST_CASE("policies that read attention drop entries that are then as if masked", "[llama][eviction]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(400, 64, 5);
  for (const char* const name : {"h2o", "tova", "snapkv", "knorm", "streaming"}) {
    AttentionReference reference;
    std::set<Entry> kept;
    std::int64_t seen = 0;
    reference.hidden = [&](int layer, int head, std::int64_t cell) {
      return cell < seen && !kept.contains(Entry{layer, head, cell});
    };
    ContextSettings settings;
    settings.reference = &reference;
    settings.memory = seeded_memory(SelectionMode::pooled);
    settings.memory->policy = make_policy(name);
    Context context(model, settings);
    for (std::size_t at = 0; at < tokens.size(); at += 40) {
      context.evaluate(std::span(tokens).subspan(at, 40), 40);
      kept.clear();
      for (const auto& content : context.store()->content())
        for (const std::int32_t position : content.positions) kept.insert({content.layer, content.kv_head, position});
      seen = static_cast<std::int64_t>(at) + 40;
    }
    INFO(name << ": " << reference.worst_relative);
    CHECK(reference.worst_relative < 1e-5);
    CHECK(kept.size() <= 6 * (kBudget + 16));  // 400 = 12 intervals and 16 tokens
  }
}
