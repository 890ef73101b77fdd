// Graphs that no model here has: what the callback's layout makes of them.
#include "adapters/llama_callback/cache_layout.hpp"

#include <ggml.h>

#include <memory>

#include "tests/check.hpp"

using namespace namm::llama;

namespace {

/// Nodes of one layer with two KV heads of 32 numbers and 64 cells, four query heads, two tokens.
class Graph {
 public:
  Graph() : context_(ggml_init({std::size_t{1} << 20, nullptr, true}), ggml_free) {}

  ggml_tensor* cache(const char* name, std::int64_t width = 64, std::int64_t cells = 64) {
    return ggml_set_name(ggml_new_tensor_3d(get(), GGML_TYPE_F16, width, cells, 1), name);
  }
  ggml_tensor* write(ggml_tensor* to) {
    return ggml_set_rows(get(), to, ggml_new_tensor_2d(get(), GGML_TYPE_F32, to->ne[0], 2),
                         ggml_new_tensor_1d(get(), GGML_TYPE_I64, 2));
  }
  ggml_tensor* attend(ggml_tensor* keys, ggml_tensor* values, float position_bias = 0) {
    ggml_tensor* const queries = ggml_new_tensor_3d(get(), GGML_TYPE_F32, 32, 2, 4);
    ggml_tensor* const mask = ggml_new_tensor_2d(get(), GGML_TYPE_F16, 64, 2);
    return ggml_flash_attn_ext(get(), queries, heads(keys), heads(values), mask, 1, position_bias, 0);
  }
  ggml_tensor* read(ggml_tensor* from) { return ggml_get_rows(get(), from, ggml_new_tensor_1d(get(), GGML_TYPE_I32, 2)); }

 private:
  ggml_context* get() const { return context_.get(); }
  ggml_tensor* heads(ggml_tensor* tensor) {
    return ggml_permute(get(), ggml_view_4d(get(), tensor, 32, 2, 64, 1, 64, tensor->nb[1], tensor->nb[2], 0), 0, 2, 1, 3);
  }
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
};

std::string refusal(CacheLayout& layout) {
  try {
    layout.finish();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("cache layout: shapes of a layer, and what its nodes do", "[llama][callback]") {
  Graph graph;
  CacheLayout layout;
  ggml_tensor *const keys = graph.cache("cache_k_l7"), *const values = graph.cache("cache_v_l7");
  ggml_tensor *const keys_write = graph.write(keys), *const values_write = graph.write(values);
  for (ggml_tensor* const node : {keys_write, values_write, graph.attend(keys, values)}) layout.learn(node);
  layout.finish();
  REQUIRE(layout.layers().size() == 1);
  const StockLayer& layer = layout.layers().front();
  CHECK(layer.layer == 7);
  CHECK(layer.kv_heads == 2);
  CHECK(layer.key_size == 32);
  CHECK(layer.value_size == 32);
  CHECK(layer.keys == keys);
  CHECK(layer.values == values);
  CHECK(!layer.values_transposed);
  CHECK(layout.cells() == 64);
  CHECK(layout.flash_attention());
  CHECK(layout.part_of(keys_write).role == CacheLayout::Role::writes_keys);
  CHECK(layout.part_of(values_write).role == CacheLayout::Role::writes_values);
  CHECK(layout.part_of(graph.write(graph.cache("cache_k_l7"))).role == CacheLayout::Role::none);  // another context's
}

TEST_CASE("cache layout: graphs that cannot be followed are refused with a reason", "[llama][callback]") {
  Graph graph;
  CacheLayout layout;
  ggml_tensor *const keys = graph.cache("cache_k_l0"), *const values = graph.cache("cache_v_l0");
  layout.learn(graph.write(keys));
  SECTION("an index beside keys and values") {
    layout.learn(graph.write(values));
    layout.learn(graph.attend(keys, values));
    layout.learn(graph.write(graph.cache("cache_idx_k_l0")));
    CHECK_THAT(refusal(layout), Contains("cache_idx_k_l0") && Contains("use a model without an index"));
  }
  SECTION("no values of their own") {
    layout.learn(graph.attend(keys, keys));
    CHECK_THAT(refusal(layout), Contains("latent attention"));
  }
  SECTION("attention by position of cells") {
    layout.learn(graph.write(values));
    layout.learn(graph.attend(keys, values, 8));
    CHECK_THAT(refusal(layout), Contains("ALiBi"));
  }
  SECTION("read by something else than attention") {
    layout.learn(graph.write(values));
    layout.learn(graph.read(keys));
    CHECK_THAT(refusal(layout), Contains("layer 0") && Contains("--attachment backend"));
  }
  SECTION("read by two layers") {
    layout.learn(graph.write(values));
    layout.learn(graph.attend(keys, values));
    layout.learn(graph.attend(keys, values));
    CHECK_THAT(refusal(layout), Contains("layer 0") && Contains("--attachment backend"));
  }
  SECTION("caches of different lengths") {
    layout.learn(graph.write(values));
    layout.learn(graph.attend(keys, values));
    ggml_tensor *const longer_keys = graph.cache("cache_k_l1", 64, 128), *const longer_values =
                                                                             graph.cache("cache_v_l1", 64, 128);
    layout.learn(graph.write(longer_keys));
    layout.learn(graph.write(longer_values));
    layout.learn(graph.attend(longer_keys, longer_values));
    CHECK_THAT(refusal(layout), Contains("different lengths"));
  }
}
