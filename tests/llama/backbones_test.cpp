// Every architecture that is said to work: with everything kept as plain llama.cpp, with evictions as if the entries were masked,
// sliding windows left alone; and what `namm inspect` says about it is what the adapter sees. And those that are refused.
#include <cstdio>
#include <cstdlib>
#include <set>
#include <tuple>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "adapters/llama_cpp/model_facts.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

using Entry = std::tuple<int, int, std::int64_t>;  // layer, KV head, cell (= position: one sequence in a fresh context)
constexpr std::size_t kBackboneTokens = 300;

CachePolicy backbone_memory() {
  CachePolicy memory;
  memory.policy = std::make_shared<SeededPolicy>();
  memory.selection.mode = SelectionMode::pooled;
  memory.selection.budget = {Budget::Unit::fraction, 0.25};
  memory.interval_tokens = 40;
  return memory;
}

/// Batches of 20 tokens, then single ones; `after` each, with the tokens so far.
Logits evaluate_in_parts(Context& context, const std::vector<std::int32_t>& tokens,
                         const std::function<void(std::size_t)>& after = {}) {
  Logits out;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t count = at < 280 ? 20 : 1;
    for (auto& row : context.evaluate(std::span(tokens).subspan(at, count), count)) out.push_back(std::move(row));
    at += count;
    if (after) after(at);
  }
  return out;
}

/// NAMM_BACKBONE_TABLE=1 prints the rows of docs/backbones.md.
void print_row(const Backbone& backbone, const nlohmann::ordered_json& facts, double node, double logits,
               const CacheUsage& usage) {
  const char* const wanted = std::getenv("NAMM_BACKBONE_TABLE");
  if (!wanted || !*wanted) return;
  std::printf("| %s | `%s` | %lld of %lld, %lld with a window | %.0e | %.0e | %lld | %.0f %% |\n", backbone.name.c_str(),
              backbone.shape.architecture.c_str(), facts["layers_with_kv_cache"].get<long long>(),
              facts["layers"].get<long long>(), facts["layers_with_window"].get<long long>(), node, logits,
              facts["kv_bytes_per_token_f16"].get<long long>(), 100 * usage.logical_saving());
}

}  // namespace

TEST_CASE("every backbone: full is plain, evicted is masked, inspect agrees", "[llama][backbones]") {
  const auto all = backbones();
  const Backbone backbone = all[static_cast<std::size_t>(GENERATE_COPY(range(0, static_cast<int>(all.size()))))];
  INFO(backbone.name);
  const auto path = write_tiny_model(backbone.shape);
  const auto model = llama::LlamaModel::load(path);
  const auto tokens = random_tokens(kBackboneTokens, backbone.shape.vocabulary, 21);
  ContextSettings settings;

  AttentionReference exact, full, masked, evicted;
  std::vector<std::pair<std::int64_t, std::set<Entry>>> kept;  // after which token, what was held
  exact.replace = masked.replace = true;

  settings.reference = &exact;
  const Logits plain = [&] {
    Context context(model, settings);
    return evaluate_in_parts(context, tokens);
  }();
  settings.reference = &full;
  settings.memory = full_memory();
  {
    Context context(model, settings);
    const Logits ours = evaluate_in_parts(context, tokens);
    INFO("full: nodes " << full.worst_relative << ", logits " << largest_difference(ours, plain) / largest(plain));
    CHECK(full.nodes > 0);
    CHECK(full.worst_relative < 1e-5);
    CHECK(largest_difference(ours, plain) < 5e-4 * largest(plain));
  }

  settings.reference = &evicted;
  settings.memory = backbone_memory();
  CacheUsage usage;
  std::vector<LayerDescription> layers;
  std::vector<std::set<Entry>> held_at(kBackboneTokens + 1);
  std::set<Entry> held;
  std::int64_t seen = 0;
  const auto hidden = [&](int layer, int head, std::int64_t cell) {
    return cell < seen && !held.contains(Entry{layer, head, cell});
  };
  evicted.hidden = masked.hidden = hidden;
  const Logits ours = [&] {
    Context context(model, settings);
    Logits out = evaluate_in_parts(context, tokens, [&](std::size_t at) {
      held.clear();
      for (const auto& content : context.store()->content())
        for (const std::int32_t position : content.positions) held.insert({content.layer, content.kv_head, position});
      held_at[at] = held;
      seen = static_cast<std::int64_t>(at);
    });
    usage = context.store()->usage();
    layers = context.store()->layers();
    return out;
  }();
  held.clear();
  seen = 0;
  settings.reference = &masked;
  settings.memory.reset();
  const Logits wanted = [&] {
    Context context(model, settings);
    return evaluate_in_parts(context, tokens, [&](std::size_t at) {
      held = held_at[at];
      seen = static_cast<std::int64_t>(at);
    });
  }();
  const double apart = largest_difference(ours, wanted) / largest(wanted);
  INFO("evicted: nodes " << evicted.worst_relative << ", logits " << apart << ", saving " << usage.logical_saving());
  CHECK(evicted.worst_relative < 1e-5);
  CHECK(apart < 5e-4);
  CHECK(usage.updates == static_cast<std::int64_t>(kBackboneTokens) / 40);

  const auto facts = llama::model_facts(path);
  CHECK(facts["policy_attaches"] == true);
  REQUIRE(facts["layers_with_kv_cache"] == layers.size());
  std::int64_t windows = 0, bytes = 0;
  for (const LayerDescription& layer : layers) {
    windows += layer.window > 0 ? 1 : 0;
    bytes += layer.kv_heads * (layer.key_size + layer.value_size) * 2;
    CHECK(facts["kv_heads"] == layer.kv_heads);
    if (layer.window > 0) CHECK(facts["window"] == layer.window);
    for (int h = 0; h < layer.kv_heads; ++h) {
      std::int64_t entries = 0, newest = 0;
      for (const auto& [l, head, position] : held_at[kBackboneTokens])
        if (l == layer.layer && head == h) {
          ++entries;
          newest += position >= static_cast<std::int64_t>(kBackboneTokens) - backbone.shape.window ? 1 : 0;
        }
      // a window keeps all that it sees and little more; elsewhere the policy decides
      if (layer.window > 0) {
        CHECK(newest == backbone.shape.window);
        CHECK(entries <= backbone.shape.window + 40);
      }
    }
  }
  CHECK(facts["layers_with_window"] == windows);
  CHECK(facts["kv_bytes_per_token_f16"] == bytes);
  print_row(backbone, facts, std::max(full.worst_relative, evicted.worst_relative), apart, usage);
}

TEST_CASE("models that a policy cannot be attached to are refused with a reason, by inspect too", "[llama][backbones]") {
  struct Refused {
    const char* architecture;
    const char* adapter;  ///< null: llama.cpp loads it with a tokenizer only
    const char* inspect;
  };
  const auto refused = GENERATE(values<Refused>({{"mamba", "no KV cache", "no KV cache"},
                                                 {"mamba2", "no KV cache", "no KV cache"},
                                                 {"bert", nullptr, "no KV cache"},
                                                 {"deepseek2", "multi-head latent attention", "latent attention"},
                                                 {"minimax-m3", "an index beside the cache", "keeps an index"},
                                                 {"mpt", "ALiBi", "ALiBi"},
                                                 {"qwen2vl", "M-RoPE", "M-RoPE"}}));
  INFO(refused.architecture);
  TinyShape shape;
  shape.architecture = refused.architecture;
  if (shape.architecture == "mpt" || shape.architecture == "bert") shape.kv_heads = shape.query_heads;
  const auto path = write_tiny_model(shape);
  if (refused.adapter) {
    std::string message = "nothing was thrown";
    try {
      llama::LlamaHost host(llama::LlamaModel::load(path), {});
    } catch (const std::exception& error) {
      message = error.what();
    }
    CHECK_THAT(message, Contains(refused.adapter));
    CHECK_THAT(message, Contains("use a model"));  // what would work
  }
  const auto facts = llama::model_facts(path);
  CHECK(facts["policy_attaches"] == false);
  CHECK_THAT(facts["why_not"].get<std::string>(), Contains(refused.inspect));
}
