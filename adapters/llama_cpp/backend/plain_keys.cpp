#include "adapters/llama_cpp/backend/plain_keys.hpp"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {
namespace {

// ggml's rotary parameters, as ggml_rope_ext() stores them in the node
enum RotaryParameter { kMode = 2, kFrequencyScale = 6, kExtrapolation = 7, kMagnitude = 8 };

bool is_view(const ggml_tensor* node) {
  return node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_PERMUTE;
}

/// Whether a rotation is among what this is computed from, at most `steps` nodes back.
bool rotated_before(const ggml_tensor* node, int steps) {
  if (!node || steps == 0) return false;
  return node->op == GGML_OP_ROPE || rotated_before(node->src[0], steps - 1) || rotated_before(node->src[1], steps - 1);
}

ggml_tensor* at(ggml_tensor* tensor, void* data) {
  tensor->data = data;
  return tensor;
}

/// The bytes of a tensor: where they are, or in `room` if they are on a device.
const unsigned char* bytes_of(const ggml_tensor* tensor, std::vector<unsigned char>& room) {
  ggml_backend_buffer* const buffer = (tensor->view_src ? tensor->view_src : tensor)->buffer;
  if (!buffer || ggml_backend_buffer_is_host(buffer)) return static_cast<const unsigned char*>(tensor->data);
  room.resize(ggml_nbytes(tensor));
  ggml_backend_tensor_get(tensor, room.data(), 0, room.size());
  return room.data();
}

/// The rotation also multiplies by a magnitude (YaRN, arXiv 2309.00071, eq. 21-22), and so does its inverse, which is the
/// transpose. Gives the parameter with which the inverse divides.
float inverse_magnitude(const ggml_tensor* rotation) {
  const float correction =
      parameter(rotation, kExtrapolation) != 0 ? 1 + 0.1f * std::log(1 / parameter(rotation, kFrequencyScale)) : 1.0f;
  return 1 / (parameter(rotation, kMagnitude) * correction * correction);
}

}  // namespace

bool PlainKeys::without_producer(const ggml_tensor* rows) {
  while (is_view(rows) && rows->src[0]) rows = rows->src[0];
  return rows->op == GGML_OP_NONE;
}

PlainKeys::Noted PlainKeys::rotation_of(const ggml_tensor* rows, bool queries) {
  const ggml_tensor* node = rows;
  while ((is_view(node) || (queries && node->op == GGML_OP_SCALE)) && node->src[0]) node = node->src[0];
  // four nodes reach over any transformation of a key, and not as far back as the layer before
  if (node->op != GGML_OP_ROPE && rotated_before(node, 4))
    return {nullptr, std::string("its ") + (queries ? "queries" : "keys") + " are changed (" + ggml_op_name(node->op) +
                         ") after their rotary embedding; use a KV cache of type f16, or a policy that reads attention alone"};
  if (node->op != GGML_OP_ROPE) return {};
  if ((node->op_params[kMode] & GGML_ROPE_TYPE_MROPE) != 0)
    return {nullptr, "its rotary embedding has several axes; use one that reads attention alone"};
  return {node, {}};
}

PlainKeys::PlainKeys() = default;
PlainKeys::~PlainKeys() = default;

void PlainKeys::FreeBackend::operator()(ggml_backend* backend) const {
  ggml_backend_free(backend);
}

void PlainKeys::Forward::turn(std::span<float> vectors, std::size_t per_position, std::span<const std::int32_t> positions) const {
  const std::size_t width = per_position * static_cast<std::size_t>(node->ne[0]);
  if (vectors.size() != width * positions.size())
    throw std::invalid_argument("rotation: needs one vector per position and place");
  owner->turn(node, vectors.data(), width, positions.size(), positions.data(), false);
}

void PlainKeys::note(int layer, const ggml_tensor* rows, bool queries) {
  if (!without_producer(rows)) noted_[layer] = rotation_of(rows, queries);
}

std::string PlainKeys::why_not() const {
  const auto found = std::find_if(noted_.begin(), noted_.end(), [](const auto& layer) { return !layer.second.why_not.empty(); });
  return found == noted_.end() ? std::string() : found->second.why_not;
}

const float* PlainKeys::restore(const ggml_tensor* rows, int layer) {
  const auto width = static_cast<std::size_t>(rows->ne[0]), tokens = static_cast<std::size_t>(rows->ne[1]);
  vectors_.resize(width * tokens);
  const unsigned char* const fetched = bytes_of(rows, fetched_);
  for (std::size_t i = 0; i < tokens; ++i)
    std::memcpy(vectors_.data() + i * width, fetched + i * rows->nb[1], width * sizeof(float));
  undo(rows, layer, width, tokens, false);
  return vectors_.data();
}

const float* PlainKeys::restore_queries(const ggml_tensor* queries, int layer) {
  const auto size = static_cast<std::size_t>(queries->ne[0]);
  const std::size_t width = size * static_cast<std::size_t>(queries->ne[2]);
  const auto tokens = static_cast<std::size_t>(queries->ne[1] * queries->ne[3]);
  vectors_.resize(width * tokens);
  float* to = vectors_.data();
  for (std::int64_t stream = 0; stream < queries->ne[3]; ++stream)
    for (std::int64_t token = 0; token < queries->ne[1]; ++token)
      for (std::int64_t head = 0; head < queries->ne[2]; ++head, to += size)
        std::memcpy(to,
                    static_cast<const char*>(queries->data) + static_cast<std::size_t>(stream) * queries->nb[3] +
                        static_cast<std::size_t>(token) * queries->nb[1] + static_cast<std::size_t>(head) * queries->nb[2],
                    size * sizeof(float));
  undo(queries, layer, width, tokens, true);
  return vectors_.data();
}

void PlainKeys::undo(const ggml_tensor* from, int layer, std::size_t width, std::size_t tokens, bool queries) {
  Noted how;
  if (!without_producer(from))
    how = rotation_of(from, queries);
  else if (const auto noted = noted_.find(layer); noted != noted_.end())
    how = noted->second;
  else
    how.why_not = "of layer " + std::to_string(layer) +
                  " it is not known how its keys or queries were rotated; keep its weights in host memory (-ngl 0), or use a "
                  "policy that reads attention alone";
  forward_.node = how.rotation;
  if (!how.why_not.empty()) throw std::runtime_error("model: a policy that reads keys cannot be attached: " + how.why_not);
  if (how.rotation) turn(how.rotation, vectors_.data(), width, tokens, positions_of(how.rotation, layer, tokens).data(), true);
}

std::span<const std::int32_t> PlainKeys::positions_of(const ggml_tensor* rotation, int layer, std::size_t tokens) {
  const bool goes_on = positions_layer_ >= 0 && layer > positions_layer_ && positions_.size() == tokens;
  positions_layer_ = layer;
  if (goes_on) return positions_;
  const auto* const from = reinterpret_cast<const std::int32_t*>(bytes_of(rotation->src[1], fetched_));
  positions_.assign(from, from + tokens);
  return positions_;
}

void PlainKeys::turn(const ggml_tensor* node, float* data, std::size_t width, std::size_t tokens, const std::int32_t* positions,
                     bool back) {
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
  const ggml_tensor* const factors = node->src[2];
  std::vector<unsigned char> room;  // positions may be in the other one
  const unsigned char* const scaling = factors ? bytes_of(factors, room) : nullptr;
  const auto count = static_cast<std::int64_t>(tokens);
  ggml_tensor* const vectors = at(
      ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, node->ne[0], static_cast<std::int64_t>(width) / node->ne[0], count), data);
  ggml_tensor* const where =
      at(ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, count), const_cast<std::int32_t*>(positions));  // only read
  ggml_tensor* const scales =
      factors ? at(ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, factors->ne[0]), const_cast<unsigned char*>(scaling))
              : nullptr;  // only read
  ggml_tensor* const turned = back ? ggml_rope_ext_back(context.get(), vectors, where, scales, 2, 0, 0, 1, 1, 0, 1, 0, 0)
                                   : ggml_rope_ext(context.get(), vectors, where, scales, 2, 0, 0, 1, 1, 0, 1, 0, 0);
  at(turned, data);  // in place
  std::memcpy(turned->op_params, node->op_params, sizeof turned->op_params);
  if (back) {
    const float magnitude = inverse_magnitude(node);
    std::memcpy(turned->op_params + kMagnitude, &magnitude, sizeof magnitude);
  }
  ggml_cgraph* const graph = ggml_new_graph_custom(context.get(), 8, false);
  ggml_build_forward_expand(graph, turned);
  if (ggml_backend_graph_compute(cpu_.get(), graph) != GGML_STATUS_SUCCESS)
    throw std::runtime_error("llama.cpp: the rotary embedding could not be computed");
}

}  // namespace namm::llama
