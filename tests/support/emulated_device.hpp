#pragma once
#include <ggml-backend.h>

#include <cstddef>

namespace namm::test {

/// GPUs for machines without one: devices of type GPU whose memory the host cannot touch.
///
/// Device memory is mapped twice: where tensors point, any access by host code is a fault (PROT_NONE); "kernels" reach it through
/// the second mapping. Kernels are those of ggml's CPU backend, run on copies of the graph's tensors that point there. Each
/// backend (stream) has a queue and a thread: graph_compute returns before the work is done, so that a missing wait shows. What
/// it cannot show: CUDA graphs, fused kernels, the numerics of tensor cores, what a driver calls memory in use.
struct EmulatedSettings {
  bool asynchronous = true;  ///< false: everything is done before a call returns
  int delay_us = 0;          ///< before each piece of work in a queue
  /// Attention takes room behind its result for its own use, as on CUDA and Metal: a buffer type that asks for more than the
  /// result's bytes, and a kernel that leaves rubbish there.
  bool room_behind_attention = true;
  std::size_t memory = std::size_t{8} << 30;         ///< bytes that each device has; what goes beyond is refused
  bool (*lacks)(const ggml_tensor* node) = nullptr;  ///< what it says that it cannot compute; null: it can whatever a CPU can
};

/// Registers `count` devices EMU0, EMU1, ... with ggml, once per process; later calls change nothing.
void register_emulated_devices(int count);
/// A registered one. Throws std::out_of_range.
ggml_backend_dev_t emulated_device(int index);
/// Of all devices; may be changed while nothing is queued.
EmulatedSettings& emulated_settings();
/// Bytes of all buffers that live on a device now, as they were asked for, and the most there ever were since
/// reset_emulated_peak().
std::size_t emulated_bytes(int index);
std::size_t emulated_peak(int index);
void reset_emulated_peak(int index);
/// Bytes that the host has sent to tensors on it, ever.
std::size_t emulated_bytes_sent(int index);

/// For a library that ggml loads (ggml_backend_load): what its ggml_backend_init returns, with `count` devices.
ggml_backend_reg_t emulated_registry(int count);

}  // namespace namm::test
