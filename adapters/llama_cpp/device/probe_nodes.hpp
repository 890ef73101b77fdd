#pragma once
#include <vector>

#include "adapters/llama_cpp/device/layer_nodes.hpp"
#include "adapters/llama_cpp/device/probe_tensors.hpp"

namespace namm::llama {

/// Nodes that compute what a probe reads of a batch's tokens, in order. Where rows are read they must still be there: the
/// runtime gives their memory to later nodes.
struct ProbeNodes {
  std::vector<ggml_tensor*> with_keys;    ///< before keys are rotated
  std::vector<ggml_tensor*> with_values;  ///< before values are written
  std::vector<ggml_tensor*> last;         ///< behind both: products are added up and written to their slots
};

/// `plain`: keys before rotation, F32, [size, heads, tokens] or [size * heads, tokens]. `value_rows`: F32 [size * heads, tokens].
/// `content`: [1, capacity, heads], where slots [tokens, heads] get what was read, without the constant. `place` as for
/// make_nodes().
ProbeNodes make_probe_nodes(ggml_context* context, const ProbeTensors& probe, const ggml_tensor* plain,
                            const ggml_tensor* value_rows, const ggml_tensor* content, ggml_tensor* slots,
                            const std::function<void(ggml_tensor*, Room)>& place);

}  // namespace namm::llama
