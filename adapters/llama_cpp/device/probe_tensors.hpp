#pragma once
#include <vector>

#include "adapters/llama_cpp/device/own_graph.hpp"
#include "core/probe/token_probe.hpp"

namespace namm::llama {

/// The read-outs of one layer (core/probe) in the memory of a device: what products are made with.
class ProbeTensors {
 public:
  /// Throws std::runtime_error if the device has no memory for them.
  ProbeTensors(ggml_backend_buffer_type_t type, const ProbeLayer& layer, ProbeInput input);

  /// Of keys or of values. Where each head reads its own key alone: [size, 1, KV heads]; where all heads read all numbers:
  /// weights [size * KV heads, KV heads], centre and scale [size * KV heads].
  struct Part {
    ggml_tensor* weights = nullptr;                                              ///< null: not read
    ggml_tensor *centre = nullptr, *scale = nullptr, *square_weights = nullptr;  ///< null: no squares are read
  };
  const Part& keys() const { return keys_; }
  const Part& values() const { return values_; }
  bool reads_layer() const { return input_ == ProbeInput::layer; }
  /// What is added to each token's products on the host, [KV head].
  const std::vector<float>& constants() const { return constants_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(ggml_backend_buffer_get_size(buffer_.get())); }

 private:
  ProbeInput input_;
  GgmlContext context_;
  GgmlBuffer buffer_;
  Part keys_, values_;
  std::vector<float> constants_;
};

}  // namespace namm::llama
