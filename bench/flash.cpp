#include "bench/flash.hpp"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <cmath>
#include <random>
#include <stdexcept>

#include "kernels/half.hpp"

namespace namm::bench {

AttentionInputs::AttentionInputs(const AttentionShape& of) : shape(of) {
  std::mt19937 rng(7);
  std::normal_distribution<float> normal;
  const std::size_t numbers = static_cast<std::size_t>(of.cells * of.kv_heads) * of.head_size;
  // drawing is slow: one table, read from another start for every layer
  std::vector<std::uint16_t> table(1 << 16);
  for (auto& half : table) half = kernels::float_to_half(normal(rng));
  const auto fill = [&](std::size_t start) {
    std::vector<std::uint16_t> out(numbers);
    for (std::size_t i = 0; i < numbers; ++i) out[i] = table[(start + i * 17) % table.size()];
    return out;
  };
  for (int layer = 0; layer < of.layers; ++layer) {
    keys.push_back(fill(static_cast<std::size_t>(2 * layer + 1)));
    values.push_back(fill(static_cast<std::size_t>(2 * layer + 30001)));
  }
  queries.resize(static_cast<std::size_t>(of.queries * of.query_heads) * of.head_size);
  for (float& x : queries) x = normal(rng);
}

struct FlashAttention::Parts {
  ggml_context* context = nullptr;
  ggml_backend_t backend = nullptr;
  ggml_backend_buffer_t buffer = nullptr;
  ggml_cgraph* graph = nullptr;
  ggml_tensor* last = nullptr;
};

FlashAttention::FlashAttention(const AttentionInputs& inputs, int threads) : parts_(std::make_unique<Parts>()) {
  const AttentionShape& s = inputs.shape;
  parts_->backend = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
  if (!parts_->backend) throw std::runtime_error("llama.cpp: has no CPU backend to compare with; install one that has");
  const auto registry = ggml_backend_dev_backend_reg(ggml_backend_get_device(parts_->backend));
  const auto set_threads =
      reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads"));
  set_threads(parts_->backend, threads);

  const auto nodes = static_cast<std::size_t>(8 * s.layers + 16);
  parts_->context = ggml_init({ggml_tensor_overhead() * nodes + ggml_graph_overhead_custom(nodes, false), nullptr, true});
  ggml_context* const c = parts_->context;
  const auto size = static_cast<std::int64_t>(s.head_size), width = size * s.kv_heads;
  ggml_tensor* const queries = ggml_new_tensor_3d(c, GGML_TYPE_F32, size, s.query_heads, s.queries);
  ggml_tensor* const mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, s.cells, s.queries);
  parts_->graph = ggml_new_graph_custom(c, nodes, false);
  std::vector<ggml_tensor*> keys, values;
  for (int layer = 0; layer < s.layers; ++layer) {
    for (auto* list : {&keys, &values}) list->push_back(ggml_new_tensor_2d(c, GGML_TYPE_F16, width, s.cells));
    const auto view = [&](ggml_tensor* cache) {
      return ggml_view_3d(c, cache, size, s.cells, s.kv_heads, cache->nb[1], static_cast<std::size_t>(size) * 2, 0);
    };
    parts_->last = ggml_flash_attn_ext(c, ggml_permute(c, queries, 0, 2, 1, 3), view(keys.back()), view(values.back()), mask,
                                       1.0f / std::sqrt(static_cast<float>(s.head_size)), 0, 0);
    ggml_build_forward_expand(parts_->graph, parts_->last);
  }
  parts_->buffer = ggml_backend_alloc_ctx_tensors(c, parts_->backend);
  if (!parts_->buffer) throw std::bad_alloc();
  ggml_backend_tensor_set(queries, inputs.queries.data(), 0, inputs.queries.size() * sizeof(float));
  std::vector<std::uint16_t> seen(static_cast<std::size_t>(s.cells));
  for (int q = 0; q < s.queries; ++q) {
    for (int cell = 0; cell < s.cells; ++cell)
      seen[static_cast<std::size_t>(cell)] = cell <= s.cells - s.queries + q ? 0 : 0xfc00;
    ggml_backend_tensor_set(mask, seen.data(), static_cast<std::size_t>(q) * mask->nb[1], seen.size() * 2);
  }
  for (int layer = 0; layer < s.layers; ++layer) {
    const auto at = static_cast<std::size_t>(layer);
    ggml_backend_tensor_set(keys[at], inputs.keys[at].data(), 0, inputs.keys[at].size() * 2);
    ggml_backend_tensor_set(values[at], inputs.values[at].data(), 0, inputs.values[at].size() * 2);
  }
}

FlashAttention::~FlashAttention() {
  ggml_backend_buffer_free(parts_->buffer);
  ggml_free(parts_->context);
  ggml_backend_free(parts_->backend);
}

void FlashAttention::run() {
  if (ggml_backend_graph_compute(parts_->backend, parts_->graph) != GGML_STATUS_SUCCESS)
    throw std::runtime_error("llama.cpp: its flash attention failed on this shape; choose another --kernel");
}

const float* FlashAttention::output() const {
  return static_cast<const float*>(parts_->last->data);
}

}  // namespace namm::bench
