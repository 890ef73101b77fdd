#pragma once
#include <ggml-backend.h>

#include <cstddef>
#include <memory>
#include <vector>

struct ggml_tensor;

namespace namm::llama {

/// Bytes of an input of a batch (cells, a mask), where the host can read them.
using InputBytes = std::shared_ptr<const std::vector<char>>;

/// From now on what the runtime's scheduler copies into this buffer of a device is noted on its way there, if it may be cells
/// (I64) or a mask (F16) of a graph, so that nothing needs to be read back. Of the buffer's functions only the one that copies is
/// replaced: some backends recognise their buffers by another one.
void tap_inputs(ggml_backend_buffer_t buffer);

/// What an input of a graph holds that is computed on this thread: noted, or where its buffer is in host memory, as it is. Null
/// if neither.
InputBytes input_bytes(const ggml_tensor* tensor);

}  // namespace namm::llama
