// A context whose graphs read the cache of another one.
#include <ggml.h>

#include <memory>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/cache_nodes.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::llama;

TEST_CASE("a context that reads or writes another's cache is refused", "[llama][attach]") {
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init({1 << 20, nullptr, false}), ggml_free);
  ggml_context* const c = context.get();
  ggml_tensor* const keys = ggml_set_name(ggml_new_tensor_3d(c, GGML_TYPE_F16, 64, 64, 1), "cache_k_l0");
  ggml_tensor* const values = ggml_set_name(ggml_new_tensor_3d(c, GGML_TYPE_F16, 64, 64, 1), "cache_v_l0");
  ggml_tensor* const write =
      ggml_set_rows(c, keys, ggml_new_tensor_2d(c, GGML_TYPE_F32, 64, 2), ggml_new_tensor_1d(c, GGML_TYPE_I64, 2));
  const auto heads = [&](ggml_tensor* tensor) {
    return ggml_permute(c, ggml_view_4d(c, tensor, 32, 2, 64, 1, 64, tensor->nb[1], tensor->nb[2], 0), 0, 2, 1, 3);
  };
  ggml_tensor* const attend = ggml_flash_attn_ext(c, ggml_new_tensor_3d(c, GGML_TYPE_F32, 32, 2, 4), heads(keys), heads(values),
                                                  ggml_new_tensor_2d(c, GGML_TYPE_F16, 64, 2), 1, 0, 0);
  AttachScope scope{CachePolicy{}};
  Instance* const owner = make_instance();
  REQUIRE(takes_node(write));
  REQUIRE(takes_node(attend));
  Instance beside;
  for (ggml_tensor* const node : {write, attend})
    CHECK_THROWS_WITH(compute_node(beside, node), Contains("a cache of its own") && Contains("ctx_other"));
  static_cast<std::int64_t*>(write->src[1]->data)[0] = 0;
  static_cast<std::int64_t*>(write->src[1]->data)[1] = 1;
  CHECK_NOTHROW(compute_node(*owner, write));
  destroy_instance(owner);
}
