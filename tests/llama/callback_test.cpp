// A memory over the runtime's own cache: with everything kept as plain llama.cpp to the bit, with evictions as if the entries
// were masked, and cells that are really used again.
#include <ggml-backend.h>

#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "adapters/llama_callback/callback_memory.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::CallbackMemory;

namespace {

using Entry = std::tuple<int, int, std::int64_t>;  // layer, KV head, position
constexpr int kCallbackSinks = 2, kCallbackRecent = 5, kCallbackInterval = 32, kCallbackBudget = 24;

CachePolicy uniform(std::shared_ptr<const Policy> policy) {
  CachePolicy memory;
  memory.policy = std::move(policy);
  memory.selection.budget = {Budget::Unit::tokens, kCallbackBudget};
  memory.selection.sinks = kCallbackSinks;
  memory.selection.recent = kCallbackRecent;
  memory.interval_tokens = kCallbackInterval;
  return memory;
}

/// Plain llama.cpp without flash attention in which entries are hidden: -inf instead of the product of key and query.
struct Masked {
  std::function<bool(const Entry&)> hidden;
  int kv_heads = 2;
  static bool callback(ggml_tensor* node, bool ask, void* self) {
    const bool mine = std::string_view(node->name).starts_with("kq-");
    if (ask || !mine) return mine || !ask;
    const auto& masked = *static_cast<Masked*>(self);
    const int layer = std::atoi(node->name + 3);
    const std::int64_t per_group = node->ne[2] / masked.kv_heads;
    const float gone = -std::numeric_limits<float>::infinity();
    for (std::int64_t h = 0; h < node->ne[2]; ++h)
      for (std::int64_t c = 0; c < node->ne[0]; ++c) {
        if (!masked.hidden({layer, static_cast<int>(h / per_group), c})) continue;
        for (std::int64_t q = 0; q < node->ne[1]; ++q)
          *reinterpret_cast<float*>(static_cast<char*>(node->data) + h * node->nb[2] + q * node->nb[1] + c * node->nb[0]) = gone;
      }
    return true;
  }
};

/// Batches that end on and off the interval, then single tokens; `after` each.
Logits run(Context& context, const std::vector<std::int32_t>& tokens, const std::function<void(std::size_t)>& after = {}) {
  Logits out;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t count = at + 40 < tokens.size() ? 20 : 1;
    for (auto& row : context.evaluate(std::span(tokens).subspan(at, count), count)) out.push_back(std::move(row));
    at += count;
    if (after) after(at);
  }
  return out;
}

std::set<Entry> held_by(const CallbackMemory& memory) {
  std::set<Entry> out;
  for (const auto& content : memory.content())
    for (const std::int32_t position : content.positions) out.insert({content.layer, content.kv_head, position});
  return out;
}

/// Evicting in few cells against plain llama.cpp in many, where what was dropped is masked: largest difference over the largest
/// logit.
double apart_from_masked(const TinyShape& shape, const CachePolicy& memory, ggml_type type) {
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(300, shape.vocabulary, 4);
  ContextSettings settings;
  settings.type_k = settings.type_v = type;
  settings.flash_attention = false;
  std::vector<std::set<Entry>> held(tokens.size() + 1);
  CallbackMemory attached;
  settings.cells = 256;  // fewer than tokens
  settings.callback = &attached;
  Context context(model, settings);
  attached.reset(memory);
  const Logits ours = run(context, tokens, [&](std::size_t at) { held[at] = held_by(attached); });
  CHECK(attached.usage().updates == 300 / kCallbackInterval);

  std::size_t seen = 0;
  Masked masked;
  masked.kv_heads = shape.kv_heads;
  masked.hidden = [&](const Entry& entry) {
    return std::get<2>(entry) < static_cast<std::int64_t>(seen) && !held[seen].contains(entry);
  };
  settings.cells = 2048;
  settings.callback = nullptr;
  settings.watcher = {Masked::callback, &masked};
  Context plain(model, settings);
  const Logits exact = run(plain, tokens, [&](std::size_t at) { seen = at; });
  return largest_difference(ours, exact) / largest(exact);
}

}  // namespace

TEST_CASE("callback: with everything kept, logits are those of plain llama.cpp to the bit", "[llama][callback]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "qwen3", "jamba", "granitehybrid", "lfm2");
  const bool flash = GENERATE(false, true);
  INFO(shape.architecture << (flash ? ", flash attention" : ""));
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(120, shape.vocabulary, 3);
  ContextSettings settings;
  settings.cells = 256;
  settings.flash_attention = flash;
  Context plain(model, settings);
  const Logits wanted = run(plain, tokens);
  // `full` asks for next to nothing; the others for every key, value and probability, and have no budget
  for (const char* const name : {"full", "knorm", "h2o"}) {
    if (flash && std::string_view(name) == "h2o") continue;
    CachePolicy memory = uniform(make_policy(name));
    memory.selection.budget = {};
    CallbackMemory attached;
    settings.callback = &attached;
    Context context(model, settings);
    attached.reset(memory);
    CHECK(largest_difference(run(context, tokens), wanted) == 0);
    CHECK(attached.usage().cells == 120);
    CHECK(attached.usage().logical_saving() == 0);
  }
}

TEST_CASE("callback: evicted entries are as if they were masked", "[llama][callback]") {
  TinyShape shape;
  ggml_type type = GGML_TYPE_F32;
  SECTION("llama") {}
  SECTION("llama, f16: one layer, so that both runs cache the same halves") {
    shape.layers = 1;
    type = GGML_TYPE_F16;
  }
  SECTION("llama with experts") {
    shape.experts = true;
  }
  SECTION("qwen3") {
    shape.architecture = "qwen3";
  }
  SECTION("jamba") {
    shape.architecture = "jamba";
  }
  SECTION("lfm2") {
    shape.architecture = "lfm2";
  }
  const double apart = apart_from_masked(shape, uniform(std::make_shared<SeededPolicy>()), type);
  INFO(shape.architecture << ' ' << ggml_type_name(type) << ": " << apart);
  CHECK(apart < 1e-5);
}

TEST_CASE("callback: every policy evicts what is then as if masked, and within its budget", "[llama][callback]") {
  for (const char* const name : {"h2o", "h2o-mean", "tova", "snapkv", "knorm", "streaming", "random"}) {
    const double apart = apart_from_masked({}, uniform(make_policy(name)), GGML_TYPE_F32);
    INFO(name << ": " << apart);
    CHECK(apart < 1e-5);
  }
}

TEST_CASE("callback: heads keep their own best tokens, sinks and newest, and equally many", "[llama][callback]") {
  const TinyShape shape;
  CallbackMemory attached;
  ContextSettings settings;
  settings.callback = &attached;
  Context context(llama::LlamaModel::load(write_tiny_model(shape)), settings);
  attached.reset(uniform(std::make_shared<SeededPolicy>()));
  std::set<Entry> kept;  // chosen a second time, as the documentation of select() says
  run(context, random_tokens(300, shape.vocabulary, 4), [&](std::size_t at) {
    const auto seen = static_cast<int>(at);
    const std::size_t before = attached.usage().updates;
    for (int layer = 0; layer < shape.layers; ++layer)
      for (int h = 0; h < shape.kv_heads; ++h) {
        for (int p = seen - (seen <= 280 && seen % 20 == 0 ? 20 : 1); p < seen; ++p) kept.insert({layer, h, p});
        if (static_cast<std::int64_t>(before) == 0 ||
            seen / kCallbackInterval == (seen - (seen <= 280 && seen % 20 == 0 ? 20 : 1)) / kCallbackInterval)
          continue;
        std::vector<std::tuple<bool, float, int>> ranked;
        for (const auto& [l, head, p] : kept)
          if (l == layer && head == h)
            ranked.emplace_back(p < kCallbackSinks || p >= seen - kCallbackRecent, seeded_score(l, head, static_cast<int>(p)),
                                static_cast<int>(p));
        std::sort(ranked.rbegin(), ranked.rend());
        for (std::size_t i = kCallbackBudget; i < ranked.size(); ++i) kept.erase({layer, h, std::get<2>(ranked[i])});
      }
    CHECK(held_by(attached) == kept);
  });
  CHECK(kept.size() == attached.cells().size() * static_cast<std::size_t>(shape.layers * shape.kv_heads));
}

TEST_CASE("callback: freed cells are used again, and attention goes over few", "[llama][callback]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(1500, 64, 5);
  ContextSettings settings;
  settings.cells = 256;
  settings.flash_attention = GENERATE(false, true);
  {
    Context plain(model, settings);
    CHECK_THROWS_WITH(run(plain, tokens), Contains("status 1"));  // no room for 1,500 tokens
  }
  CallbackMemory attached;
  settings.callback = &attached;
  settings.cells = GENERATE(256, 1024);
  Context context(model, settings);
  attached.reset(uniform(std::make_shared<SeededPolicy>()));
  std::int32_t highest = 0;
  run(context, tokens,
      [&](std::size_t) { highest = std::max(highest, *std::max_element(attached.cells().begin(), attached.cells().end())); });
  const CacheUsage usage = attached.usage();
  CHECK(usage.tokens_seen == 1500);
  CHECK(usage.cells_allocated == settings.cells);
  CHECK(usage.cells_peak <= kCallbackBudget + kCallbackInterval + 20);  // batches of 20 end off the interval
  CHECK(highest <= kCallbackBudget + kCallbackInterval + 20);
  CHECK(usage.cells == kCallbackBudget + 1500 % kCallbackInterval);
  CHECK(usage.logical_saving() == Approx(1 - (kCallbackBudget + 1500.0 - 1500 / kCallbackInterval * kCallbackInterval) / 1500));
  CHECK(usage.physical_saving() < 0);  // the runtime has allocated no less, and statistics come on top
}
