#pragma once
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/device/own_graph.hpp"

namespace namm::llama {

/// A small graph of ours on a device, with what it needs beside it. Everything queued before is done before it begins, and it is
/// done when run() returns.
class SmallGraph {
 public:
  /// `purpose`: what it has no memory "to ..." for, in the sentence of run().
  SmallGraph(const DeviceStream& stream, const char* purpose);
  ggml_context* context() const { return context_.get(); }
  void want(ggml_tensor* result);
  void give(ggml_tensor* tensor, const std::vector<std::int32_t>& numbers);
  /// Returns the bytes that intermediate results took. Throws std::runtime_error if the device has no memory for them.
  std::size_t run();
  /// Read before the room of the results goes.
  void fetch(ggml_tensor* result, std::vector<float>& to);

 private:
  const DeviceStream& stream_;
  const char* purpose_;
  GgmlContext context_;
  ggml_cgraph* graph_;
  std::vector<std::pair<ggml_tensor*, const std::vector<std::int32_t>*>> inputs_;
  std::function<void()> fetch_ = [] {};
};

}  // namespace namm::llama
