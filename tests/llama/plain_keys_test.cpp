// Keys that a policy's reader sees, against the input of the runtime's rotary embedding, caught by its evaluation callback.
#include <ggml-cpu.h>
#include <ggml.h>

#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

using Rows = std::map<int, std::vector<float>>;  // by layer: [token][kv_heads * key_size]

/// Keeps everything and remembers what it was shown.
class ReadingPolicy final : public Policy, ContentReader {
 public:
  std::string_view name() const override { return "test-reading"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return this; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      // what was read comes back with its token
      CHECK(tokens.content[i] == content(tokens.layer, tokens.kv_head, tokens.positions[i]));
      scores[i] = seeded_score(tokens.layer, tokens.kv_head, tokens.positions[i]);
    }
  }
  void read(const LayerTokens& tokens, std::span<float> out) const override {
    const std::size_t width = tokens.kv_heads * tokens.key_size;
    auto& rows = keys[tokens.layer];
    rows.insert(rows.end(), tokens.keys, tokens.keys + tokens.count() * width);
    for (int h = 0; h < tokens.kv_heads; ++h)
      for (std::size_t i = 0; i < tokens.count(); ++i)
        out[static_cast<std::size_t>(h) * tokens.count() + i] = content(tokens.layer, h, tokens.positions[i]);
  }
  static float content(int layer, int head, std::int32_t position) {
    return static_cast<float>(position) + 0.25f * static_cast<float>(head) + 0.01f * static_cast<float>(layer);
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<ReadingPolicy>(*this); }
  nlohmann::json to_json() const override { return {}; }
  bool reads_queries() const override { return true; }
  void read_queries(const LayerQueries& read) const override {
    auto& rows = queries[read.layer];
    rows.insert(rows.end(), read.queries, read.queries + read.count() * read.heads * read.key_size);
    scale = read.scale * std::sqrt(static_cast<float>(read.key_size));
  }
  mutable Rows keys, queries;
  mutable float scale = 0;  // in units of 1 / sqrt(key size)
};

/// Catches the tensors that are rotated on their way to the cache; their names are known after a first pass.
struct Catcher {
  static bool is_view(const ggml_tensor* node) {
    return node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_PERMUTE;
  }
  std::map<std::string, int> wanted;          // name -> layer
  std::map<std::string, int> wanted_queries;  // the same for queries
  Rows caught, caught_queries;
  float query_scale = 1;  // that the model multiplies its queries with after their rotation
  static bool callback(ggml_tensor* node, bool ask, void* self) {
    auto& catcher = *static_cast<Catcher*>(self);
    if (ask && node->op == GGML_OP_SET_ROWS && std::strncmp(node->view_src->name, "cache_k_l", 9) == 0) {
      const ggml_tensor* from = node->src[0];
      while (is_view(from) || from->op == GGML_OP_ROPE) from = from->src[0];
      catcher.wanted.emplace(from->name, std::atoi(node->view_src->name + 9));
    }
    if (ask && node->op == GGML_OP_FLASH_ATTN_EXT) {
      const ggml_tensor *from = node->src[0], *cache = node->src[1];
      for (; is_view(from) || from->op == GGML_OP_ROPE || from->op == GGML_OP_SCALE; from = from->src[0])
        if (from->op == GGML_OP_SCALE) std::memcpy(&catcher.query_scale, from->op_params, sizeof catcher.query_scale);
      while (cache->view_src) cache = cache->view_src;
      catcher.wanted_queries.emplace(from->name, std::atoi(cache->name + 9));
    }
    if (node->op == GGML_OP_ROPE || is_view(node)) return !ask;
    bool mine = false;
    for (const auto& [names, caught] :
         {std::pair{&catcher.wanted, &catcher.caught}, std::pair{&catcher.wanted_queries, &catcher.caught_queries}}) {
      const auto found = names->find(node->name);
      if (found == names->end()) continue;
      mine = true;
      if (ask) continue;
      auto& rows = (*caught)[found->second];
      const auto* const data = static_cast<const float*>(node->data);
      const float scale = names == &catcher.wanted_queries ? catcher.query_scale : 1;
      for (std::int64_t i = 0; i < ggml_nelements(node); ++i) rows.push_back(scale * data[i]);
    }
    return !ask || mine;
  }
};

void check_rows(const Rows& expected, const Rows& seen, double bound) {
  REQUIRE(!expected.empty());
  REQUIRE(seen.size() == expected.size());
  for (const auto& [layer, rows] : expected) {
    INFO("layer " << layer);
    REQUIRE(seen.at(layer).size() == rows.size());
    double worst = 0, size = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(rows[i]) - seen.at(layer)[i]));
      size = std::max(size, std::abs(static_cast<double>(rows[i])));
    }
    CHECK(size > 0);
    CHECK(worst < bound * size);
  }
}

void check_keys(const std::shared_ptr<const llama::LlamaModel>& model, std::span<const std::int32_t> tokens, double bound) {
  Catcher catcher;
  auto policy = std::make_shared<ReadingPolicy>();
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 512;
  params.n_threads = params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.cb_eval = Catcher::callback;
  params.cb_eval_user_data = &catcher;
  llama::AttachScope scope(CachePolicy{policy, {}, {}, 64});
  const std::unique_ptr<llama_context, void (*)(llama_context*)> context(llama_init_from_model(model->get(), params), llama_free);
  REQUIRE(context);
  llama::CacheStore& store = scope.finish({});
  for (int pass = 0; pass < 2; ++pass) {  // the first pass learns the names
    llama_memory_clear(llama_get_memory(context.get()), true);
    store.reset(CachePolicy{policy, {}, {}, 64});
    catcher.caught.clear();
    catcher.caught_queries.clear();
    policy->keys.clear();
    policy->queries.clear();
    std::vector<std::int32_t> copy(tokens.begin(), tokens.end());
    REQUIRE(llama_decode(context.get(), llama_batch_get_one(copy.data(), static_cast<std::int32_t>(copy.size()))) == 0);
  }
  check_rows(catcher.caught, policy->keys, bound);
  check_rows(catcher.caught_queries, policy->queries, bound);
  CHECK(policy->scale * catcher.query_scale == Approx(1));
}

}  // namespace

TEST_CASE("a reader sees keys and queries before rotary embedding", "[llama][exact]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  INFO(shape.architecture);
  const auto tokens = random_tokens(200, shape.vocabulary, 5);
  check_keys(llama::LlamaModel::load(write_tiny_model(shape)), tokens, 1e-5);
}

TEST_CASE("what was read stays with its token when others are dropped", "[llama]") {
  TinyShape shape;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  ContextSettings settings;
  settings.memory = CachePolicy{std::make_shared<ReadingPolicy>(), {}, {SelectionMode::pooled, parse_budget("0.5"), 2, 4}, 32};
  Context attached(model, settings);
  attached.evaluate(random_tokens(200, shape.vocabulary, 5), 48);  // the policy checks at every update
  const CacheUsage usage = attached.store()->usage();
  CHECK(usage.updates == 4);
  CHECK(usage.entries < usage.entries_full);
}

TEST_CASE("keys that were changed after their rotary embedding are refused", "[llama]") {
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init({1 << 20, nullptr, false}), ggml_free);
  ggml_context* const c = context.get();
  ggml_tensor* const keys = ggml_new_tensor_3d(c, GGML_TYPE_F32, 8, 2, 3);
  ggml_tensor* const positions = ggml_new_tensor_1d(c, GGML_TYPE_I32, 3);
  ggml_tensor* const matrix = ggml_new_tensor_2d(c, GGML_TYPE_F32, 8, 8);
  for (std::int64_t i = 0; i < ggml_nelements(keys); ++i) static_cast<float*>(keys->data)[i] = static_cast<float>(i);
  const auto rows_of = [&](ggml_tensor* tensor) { return ggml_reshape_2d(c, tensor, 16, 3); };
  ggml_tensor* const rotated = ggml_rope(c, keys, positions, 8, 0);
  llama::PlainKeys plain;
  CHECK_THROWS_WITH(plain.restore(rows_of(ggml_scale(c, rotated, 2))), Contains("SCALE") && Contains("attention alone"));
  CHECK_THROWS_WITH(plain.restore(rows_of(ggml_mul_mat(c, matrix, rotated))), Contains("MUL_MAT"));
  plain.note(2, rows_of(ggml_scale(c, rotated, 2)), false);  // where the graph tells it is known before anything is computed
  CHECK_THAT(plain.why_not(), Contains("SCALE") && Contains("attention alone"));
  CHECK_THROWS_WITH(plain.restore(rows_of(keys), 2), Contains("SCALE"));
  plain.note(2, rows_of(ggml_scale(c, rotated, 2)), true);  // queries may be
  CHECK(plain.why_not().empty());
  // without a rotation it is the key itself
  plain.note(3, rows_of(ggml_add(c, keys, keys)), false);
  const float* const same = plain.restore(rows_of(keys), 3);
  for (std::int64_t i = 0; i < ggml_nelements(keys); ++i) CHECK(same[i] == static_cast<float>(i));
}

TEST_CASE("keys that the scheduler copied are restored, or refused", "[llama]") {
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init({1 << 22, nullptr, false}), ggml_free);
  ggml_context* const c = context.get();
  ggml_tensor* const keys = ggml_new_tensor_3d(c, GGML_TYPE_F32, 8, 2, 5);
  ggml_tensor* const positions = ggml_new_tensor_1d(c, GGML_TYPE_I32, 5);
  std::vector<float> wanted;
  for (std::int64_t i = 0; i < ggml_nelements(keys); ++i) wanted.push_back(std::sin(static_cast<float>(i) * 1.7f));
  std::copy(wanted.begin(), wanted.end(), static_cast<float*>(keys->data));
  for (int i = 0; i < 5; ++i) static_cast<std::int32_t*>(positions->data)[i] = 3 + 100 * i;
  ggml_tensor* const rows = ggml_reshape_2d(c, ggml_rope(c, keys, positions, 8, 0), 16, 5);
  ggml_cgraph* const graph = ggml_new_graph(c);
  ggml_build_forward_expand(graph, rows);
  REQUIRE(ggml_graph_compute_with_ctx(c, graph, 1) == GGML_STATUS_SUCCESS);
  ggml_tensor* const copy = ggml_new_tensor_2d(c, GGML_TYPE_F32, 16, 5);  // what the scheduler puts there: without sources
  std::memcpy(copy->data, rows->data, ggml_nbytes(rows));
  const auto apart = [&](const float* restored) {
    double worst = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(restored[i]) - static_cast<double>(wanted[i])));
    return worst;
  };
  llama::PlainKeys plain;
  plain.note(3, rows, false);
  plain.note(3, copy, false);  // the same graph again: it does not tell, and nothing is forgotten
  CHECK(apart(plain.restore(copy, 3)) < 2e-6);
  CHECK(plain.rotation() != nullptr);
  // behind the first layer the runtime may use the memory of positions again
  plain.note(4, rows, false);
  std::fill_n(static_cast<std::int32_t*>(positions->data), 5, -1);
  CHECK(apart(plain.restore(copy, 4)) < 2e-6);
  for (int i = 0; i < 5; ++i) static_cast<std::int32_t*>(positions->data)[i] = 3 + 100 * i;
  CHECK_THROWS_WITH(plain.restore(copy, 5), Contains("layer 5") && Contains("rotated") && Contains("-ngl 0"));
  // a model that does not rotate
  ggml_tensor* const bare = ggml_reshape_2d(c, ggml_add(c, keys, keys), 16, 5);
  llama::PlainKeys other;
  other.note(3, bare, false);
  CHECK(apart(other.restore(copy, 3)) > 0.5);
  CHECK(other.rotation() == nullptr);
}

TEST_CASE("keys are restored under every kind of rotary embedding", "[llama][exact]") {
  struct Kind {
    int dimensions, mode;
    float base, scale, extrapolation, magnitude;
    bool factors;
  };
  const Kind kind = GENERATE(Kind{8, 0, 10000, 1, 0, 1, false}, Kind{8, GGML_ROPE_TYPE_NEOX, 5e5, 1, 0, 1, true},
                             Kind{4, GGML_ROPE_TYPE_NEOX, 10000, 0.5f, 0, 1, false},       // a part of the key, linear scaling
                             Kind{8, GGML_ROPE_TYPE_NEOX, 10000, 0.25f, 1, 1.2f, false});  // YaRN
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init({1 << 22, nullptr, false}), ggml_free);
  ggml_context* const c = context.get();
  ggml_tensor* const keys = ggml_new_tensor_3d(c, GGML_TYPE_F32, 8, 2, 5);
  ggml_tensor* const positions = ggml_new_tensor_1d(c, GGML_TYPE_I32, 5);
  ggml_tensor* const factors = ggml_new_tensor_1d(c, GGML_TYPE_F32, 4);
  std::vector<float> wanted;
  for (std::int64_t i = 0; i < ggml_nelements(keys); ++i) wanted.push_back(std::sin(static_cast<float>(i) * 1.7f));
  std::copy(wanted.begin(), wanted.end(), static_cast<float*>(keys->data));
  for (int i = 0; i < 5; ++i) static_cast<std::int32_t*>(positions->data)[i] = 3 + 100 * i;
  for (int i = 0; i < 4; ++i) static_cast<float*>(factors->data)[i] = 1.0f + static_cast<float>(i);
  ggml_tensor* const rotated = ggml_rope_ext(c, keys, positions, kind.factors ? factors : nullptr, kind.dimensions, kind.mode,
                                             4096, kind.base, kind.scale, kind.extrapolation, kind.magnitude, 32, 1);
  ggml_tensor* const rows = ggml_reshape_2d(c, rotated, 16, 5);
  ggml_cgraph* const graph = ggml_new_graph(c);
  ggml_build_forward_expand(graph, rows);
  REQUIRE(ggml_graph_compute_with_ctx(c, graph, 1) == GGML_STATUS_SUCCESS);
  llama::PlainKeys plain;
  const float* const restored = plain.restore(rows);
  double changed = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(restored[i] == Approx(wanted[i]).margin(2e-6));
    changed = std::max(changed, std::abs(static_cast<double>(static_cast<float*>(rotated->data)[i]) - wanted[i]));
  }
  CHECK(changed > 0.5);
}
