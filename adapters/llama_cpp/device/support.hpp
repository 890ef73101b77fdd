#pragma once
#include <ggml-backend.h>

#include <string>

#include "adapters/llama_cpp/device/row_types.hpp"

namespace namm::llama {

/// Why a device cannot compute a node: "device NAME cannot compute OPERATION ..."; empty if it can.
std::string why_not_computed(ggml_backend_dev_t device, const ggml_tensor* node);

/// What the device of a layer's cache cannot do, asked node by node as they would be made; empty where it can.
struct LayerSupport {
  std::string holding;      ///< writing, attending and moving rows
  std::string attention;    ///< attention once more, for statistics
  std::string spectrogram;  ///< its spectrogram
  std::string norms;        ///< sizes of keys and values
};

/// `attention`: a node of the runtime that attends to this layer's cache.
LayerSupport support_of_layer(ggml_backend_buffer_type_t type, const RowTypes& numbers, const ggml_tensor* attention);

}  // namespace namm::llama
