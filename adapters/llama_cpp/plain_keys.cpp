#include "adapters/llama_cpp/plain_keys.hpp"

#include <ggml-backend.h>
#include <ggml.h>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace namm::llama {
namespace {

// ggml's rotary parameters, as ggml_rope_ext() stores them in the node
enum RotaryParameter { kMode = 2, kFrequencyScale = 6, kExtrapolation = 7, kMagnitude = 8 };

float parameter(const ggml_tensor* node, int index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

bool is_view(const ggml_tensor* node) {
  return node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_PERMUTE;
}

/// Whether a rotation is among what this is computed from, at most `steps` nodes back.
bool rotated_before(const ggml_tensor* node, int steps) {
  if (!node || steps == 0) return false;
  return node->op == GGML_OP_ROPE || rotated_before(node->src[0], steps - 1) || rotated_before(node->src[1], steps - 1);
}

/// The node that rotated these rows, through the views between; null if none did. Throws std::runtime_error if something else was
/// done to them since.
const ggml_tensor* rotation_of(const ggml_tensor* rows) {
  const ggml_tensor* node = rows;
  while (is_view(node) && node->src[0]) node = node->src[0];
  if (node->op == GGML_OP_ROPE) return node;
  // four nodes reach over any transformation of a key, and not as far back as the layer before
  if (rotated_before(node, 4))
    throw std::runtime_error(std::string("model: a policy that reads keys cannot be attached: its keys are changed (") +
                             ggml_op_name(node->op) +
                             ") after their rotary embedding; use a KV cache of type f16, or a policy "
                             "that reads attention alone");
  return nullptr;
}

ggml_tensor* at(ggml_tensor* tensor, void* data) {
  tensor->data = data;
  return tensor;
}

/// The rotation also multiplies by a magnitude (YaRN, arXiv 2309.00071, eq. 21-22), and so does its inverse, which is the
/// transpose. Gives the parameter with which the inverse divides.
float inverse_magnitude(const ggml_tensor* rotation) {
  const float correction =
      parameter(rotation, kExtrapolation) != 0 ? 1 + 0.1f * std::log(1 / parameter(rotation, kFrequencyScale)) : 1.0f;
  return 1 / (parameter(rotation, kMagnitude) * correction * correction);
}

}  // namespace

PlainKeys::PlainKeys() = default;
PlainKeys::~PlainKeys() = default;
PlainKeys::PlainKeys(PlainKeys&&) noexcept = default;

void PlainKeys::FreeBackend::operator()(ggml_backend* backend) const {
  ggml_backend_free(backend);
}

const float* PlainKeys::restore(const ggml_tensor* rows) {
  const auto width = static_cast<std::size_t>(rows->ne[0]), tokens = static_cast<std::size_t>(rows->ne[1]);
  const std::size_t stride = rows->nb[1] / sizeof(float);
  const ggml_tensor* const rotation = rotation_of(rows);
  keys_.resize(width * tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    std::memcpy(keys_.data() + i * width, static_cast<const float*>(rows->data) + i * stride, width * sizeof(float));
  if (!rotation) return keys_.data();
  if ((rotation->op_params[kMode] & GGML_ROPE_TYPE_MROPE) != 0)
    throw std::runtime_error(
        "model: a policy that reads keys cannot be attached: its rotary embedding has several axes; use one "
        "that reads attention alone");
  if (!cpu_) {
    cpu_.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    if (!cpu_) throw std::runtime_error("llama.cpp: its CPU backend is not available");
    graph_memory_.resize(16 * ggml_tensor_overhead() + ggml_graph_overhead_custom(8, false));
    const auto set_threads = reinterpret_cast<void (*)(ggml_backend_t, int)>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(ggml_backend_get_device(cpu_.get())), "ggml_backend_set_n_threads"));
    if (set_threads) set_threads(cpu_.get(), 1);
  }
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
      ggml_init({graph_memory_.size(), graph_memory_.data(), true}), ggml_free);
  const ggml_tensor *const positions = rotation->src[1], *const factors = rotation->src[2];
  ggml_tensor* const rotated =
      at(ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, rotation->ne[0], static_cast<std::int64_t>(width) / rotation->ne[0],
                            static_cast<std::int64_t>(tokens)),
         keys_.data());
  ggml_tensor* const where = at(ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, positions->ne[0]), positions->data);
  ggml_tensor* const scales =
      factors ? at(ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, factors->ne[0]), factors->data) : nullptr;
  ggml_tensor* const plain =
      at(ggml_rope_ext_back(context.get(), rotated, where, scales, 2, 0, 0, 1, 1, 0, 1, 0, 0), keys_.data());  // in place
  std::memcpy(plain->op_params, rotation->op_params, sizeof plain->op_params);
  const float magnitude = inverse_magnitude(rotation);
  std::memcpy(plain->op_params + kMagnitude, &magnitude, sizeof magnitude);
  ggml_cgraph* const graph = ggml_new_graph_custom(context.get(), 8, false);
  ggml_build_forward_expand(graph, plain);
  if (ggml_backend_graph_compute(cpu_.get(), graph) != GGML_STATUS_SUCCESS)
    throw std::runtime_error("llama.cpp: the rotary embedding of the keys could not be undone");
  return keys_.data();
}

}  // namespace namm::llama
