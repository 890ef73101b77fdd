#include "adapters/llama_cpp/device/input_tap.hpp"

#include <algorithm>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

#include "ggml-backend-impl.h"
#include "ggml.h"

namespace namm::llama {
namespace {

using SetTensor = decltype(ggml_backend_buffer_i::set_tensor);

std::mutex tap_mutex;
// by buffer type, all of whose buffers have the same functions; never destroyed: the program may evaluate while it exits
auto& own_set_tensor = *new std::unordered_map<const void*, SetTensor>;

struct NotedInput {
  const ggml_tensor* tensor;
  std::string name;  // its address may be another tensor's later
  InputBytes bytes;
};
/// Inputs are copied and graphs computed by one call of the runtime, so by one thread. A few tensors take turns.
constexpr std::size_t kNotedAtMost = 16;
thread_local std::deque<NotedInput> noted_inputs;

bool may_be_wanted(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, std::size_t offset, std::size_t size) {
  return buffer->usage == GGML_BACKEND_BUFFER_USAGE_COMPUTE && tensor->op == GGML_OP_NONE &&
         (tensor->type == GGML_TYPE_I64 || tensor->type == GGML_TYPE_F16) && offset == 0 && size == ggml_nbytes(tensor);
}

void set_and_note(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, std::size_t offset, std::size_t size) {
  SetTensor original = nullptr;
  {
    const std::lock_guard<std::mutex> lock(tap_mutex);
    original = own_set_tensor.at(buffer->buft);
  }
  if (may_be_wanted(buffer, tensor, offset, size)) {
    std::erase_if(noted_inputs, [&](const NotedInput& input) { return input.tensor == tensor; });
    if (noted_inputs.size() == kNotedAtMost) noted_inputs.pop_front();
    const auto* const bytes = static_cast<const char*>(data);
    noted_inputs.push_back({tensor, tensor->name, std::make_shared<const std::vector<char>>(bytes, bytes + size)});
  }
  original(buffer, tensor, data, offset, size);
}

}  // namespace

void tap_inputs(ggml_backend_buffer_t buffer) {
  const std::lock_guard<std::mutex> lock(tap_mutex);
  if (!buffer->iface.set_tensor || buffer->iface.set_tensor == set_and_note) return;
  const auto [known, fresh] = own_set_tensor.try_emplace(buffer->buft, buffer->iface.set_tensor);
  if (known->second == buffer->iface.set_tensor) buffer->iface.set_tensor = set_and_note;
}

InputBytes input_bytes(const ggml_tensor* tensor) {
  if (tensor->op != GGML_OP_NONE || tensor->view_src || !tensor->buffer) return nullptr;
  if (ggml_backend_buffer_is_host(tensor->buffer)) {
    const auto* const bytes = static_cast<const char*>(tensor->data);
    return std::make_shared<const std::vector<char>>(bytes, bytes + ggml_nbytes(tensor));
  }
  for (const NotedInput& input : noted_inputs)
    if (input.tensor == tensor && input.name == tensor->name && input.bytes->size() == ggml_nbytes(tensor)) return input.bytes;
  return nullptr;
}

}  // namespace namm::llama
