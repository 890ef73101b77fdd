#pragma once
#include <ggml-backend.h>
#include <ggml.h>

#include <map>

namespace namm::test {

/// A device of our own in ggml, of type GPU and named FAKE0: what it computes the CPU backend computes, but its memory is not the
/// host's as far as ggml knows. So llama.cpp places weights there on request (llama_model_params::devices, n_gpu_layers), and its
/// scheduler splits graphs and copies what goes in and out, as with a real device.
///
///     registers itself with the first call, once per process: tests with it have a program of their own
///     memory: the host's own for now; nothing faults if host code reads it directly
ggml_backend_dev_t fake_device();

/// How often each operation was computed there since the process began.
const std::map<ggml_op, int>& computed_on_fake_device();

/// True if the tensor, or what it is a view of, lies in the device's memory.
bool is_on_fake_device(const ggml_tensor* tensor);

}  // namespace namm::test
