#include "adapters/llama_cpp/device/probe_tensors.hpp"

#include <ggml-alloc.h>

#include <stdexcept>
#include <utility>

namespace namm::llama {

ProbeTensors::ProbeTensors(ggml_backend_buffer_type_t type, const ProbeLayer& layer, ProbeInput input)
    : input_(input), context_(make_context(8)) {
  const auto heads = static_cast<std::size_t>(layer.kv_heads);
  const std::size_t inputs = layer.inputs(input), key_width = heads * layer.key_size, value_width = heads * layer.value_size;
  std::vector<std::pair<ggml_tensor*, std::vector<float>>> contents;
  // numbers `first` .. `first + count` of each head's `stride` ones
  const auto rows = [&](const std::vector<float>& all, std::size_t stride, std::size_t first, std::size_t count) {
    const auto n = static_cast<std::int64_t>(count), h = static_cast<std::int64_t>(heads);
    std::vector<float> out;
    for (std::size_t head = 0; head < heads; ++head) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(head * stride + first);
      out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(count));
    }
    ggml_tensor* const tensor = reads_layer() ? ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, n, h)
                                              : ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, n, 1, h);
    contents.emplace_back(tensor, std::move(out));
    return tensor;
  };
  const auto numbers = [&](const std::vector<float>& all, std::size_t first, std::size_t count) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(first);
    const auto h = static_cast<std::int64_t>(heads), n = static_cast<std::int64_t>(count);
    ggml_tensor* const tensor = reads_layer() ? ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, n)
                                              : ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, n / h, 1, h);
    contents.emplace_back(tensor, std::vector<float>(from, from + static_cast<std::ptrdiff_t>(count)));
    return tensor;
  };
  const auto part = [&](std::size_t first, std::size_t width) {
    const std::size_t count = reads_layer() ? width : inputs;
    Part out;
    out.weights = rows(layer.weights, inputs + 1, first, count);
    if (layer.scale.empty()) return out;
    out.centre = numbers(layer.scale.centre, first, width);
    out.scale = numbers(layer.scale.scale, first, width);
    out.square_weights = rows(layer.square_weights, inputs, first, count);
    return out;
  };
  keys_ = part(0, key_width);
  if (reads_layer()) values_ = part(key_width, value_width);
  for (std::size_t h = 0; h < heads; ++h) constants_.push_back(layer.weights[h * (inputs + 1) + inputs]);
  buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
  if (!buffer_) throw std::runtime_error("KV cache: the device has no memory for the probe of the policy; use a smaller context");
  for (const auto& [tensor, bytes] : contents) ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size() * sizeof(float));
}

}  // namespace namm::llama
