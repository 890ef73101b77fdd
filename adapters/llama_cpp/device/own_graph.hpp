#pragma once
#include <ggml-backend.h>
#include <ggml.h>

#include <array>
#include <cstdint>
#include <memory>

namespace namm::llama {

struct FreeGgml {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};
using GgmlContext = std::unique_ptr<ggml_context, FreeGgml>;
using GgmlBuffer = std::unique_ptr<ggml_backend_buffer, FreeGgml>;

/// Where the next tensor may begin, on any backend.
constexpr std::size_t aligned(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// A context for `tensors` tensors without data and graphs of `nodes` nodes. Throws std::bad_alloc.
GgmlContext make_context(std::size_t tensors, std::size_t nodes = 0);

/// The same memory as `tensor`, without the graph behind it: a view would bring it along.
ggml_tensor* alias_of(ggml_context* context, const ggml_tensor* tensor);

/// The same memory as rows of another shape; `strides` in bytes of dimensions 1 to 3.
ggml_tensor* alias_as(ggml_context* context, const ggml_tensor* tensor, const std::array<std::int64_t, 4>& shape,
                      const std::array<std::size_t, 3>& strides);

/// `view`, with the buffer of what it is a view of, if that has one. Returns it.
ggml_tensor* settled(ggml_tensor* view);

/// What computes a graph on a backend; ours where hooks stand in the place of the backend's own.
using ComputeGraph = ggml_status (*)(ggml_backend_t, ggml_cgraph*);

/// Where graphs of ours are computed.
struct DeviceStream {
  ggml_backend_t backend = nullptr;
  ComputeGraph compute = nullptr;  ///< the backend's own
};

}  // namespace namm::llama
