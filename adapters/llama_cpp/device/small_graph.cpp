#include "adapters/llama_cpp/device/small_graph.hpp"

#include <ggml-alloc.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace namm::llama {

SmallGraph::SmallGraph(const DeviceStream& stream, const char* purpose)
    : stream_(stream), purpose_(purpose), context_(make_context(32, 16)) {
  graph_ = ggml_new_graph_custom(context_.get(), 16, false);
}

void SmallGraph::want(ggml_tensor* result) {
  ggml_set_output(result);
  ggml_build_forward_expand(graph_, result);
}

void SmallGraph::give(ggml_tensor* tensor, const std::vector<std::int32_t>& numbers) {
  ggml_set_input(tensor);
  inputs_.emplace_back(tensor, &numbers);
}

std::size_t SmallGraph::run() {
  const std::unique_ptr<ggml_gallocr, void (*)(ggml_gallocr_t)> room(
      ggml_gallocr_new(ggml_backend_get_default_buffer_type(stream_.backend)), ggml_gallocr_free);
  ggml_backend_synchronize(stream_.backend);
  if (!room || !ggml_gallocr_alloc_graph(room.get(), graph_))
    throw std::runtime_error(std::string("KV cache: the device has no memory to ") + purpose_ +
                             "; use a smaller batch (-ub) or budget");
  for (const auto& [tensor, numbers] : inputs_)
    ggml_backend_tensor_set(tensor, numbers->data(), 0, numbers->size() * sizeof(std::int32_t));
  const ggml_status status = stream_.compute(stream_.backend, graph_);
  ggml_backend_synchronize(stream_.backend);
  if (status != GGML_STATUS_SUCCESS) throw std::runtime_error(std::string("KV cache: the device could not ") + purpose_);
  fetch_();
  return ggml_gallocr_get_buffer_size(room.get(), 0);
}

void SmallGraph::fetch(ggml_tensor* result, std::vector<float>& to) {
  want(result);
  fetch_ = [result, &to] {
    to.resize(static_cast<std::size_t>(ggml_nelements(result)));
    ggml_backend_tensor_get(result, to.data(), 0, to.size() * sizeof(float));
  };
}

}  // namespace namm::llama
