#include "adapters/llama_cpp/version/layout_check.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "ggml-backend-impl.h"
#include "ggml.h"

namespace namm::llama {
namespace {

constexpr std::size_t kSlots = 64;
thread_local std::size_t reached = kSlots;  // the slot that was called last

/// Stands for every callback, whatever its arguments: the calling conventions of x86-64 and AArch64 let a function ignore them.
template <std::size_t I>
void* slot() {
  reached = I;
  return &reached;  // where a pointer is expected, one that is not null
}
template <std::size_t... I>
constexpr std::array<void* (*)(), sizeof...(I)> slots(std::index_sequence<I...>) {
  return {&slot<I>...};
}

/// An object of ggml's, of any layout: every word is another callback.
struct Probe {
  std::array<void* (*)(), kSlots> words = slots(std::make_index_sequence<kSlots>());
  template <class Object>
  Object* as() {
    return reinterpret_cast<Object*>(words.data());
  }
  /// The word with that value: what a function returned that returns a field.
  std::size_t index_of(const void* value) const {
    std::size_t i = 0;
    while (i < kSlots && reinterpret_cast<const void*>(words[i]) != value) ++i;
    return i;
  }
};

struct Findings {
  std::string text;
  void expect(const char* what, std::size_t here, std::size_t there) {
    if (here == there || !text.empty()) return;
    text = std::string(what) + ": slot " + std::to_string(here) + " here, " +
           (there < kSlots ? std::to_string(there) : std::string("none")) + " there";
  }
  void require(const char* what, bool holds) {
    if (!holds && text.empty()) text = what;
  }
};

/// The slot that `call` ends in.
template <class Call>
std::size_t called(Call call) {
  reached = kSlots;
  call();
  return reached;
}

#define NAMM_SLOT(type, member) (offsetof(type, member) / sizeof(void*))

void check_buffers(Findings& out) {
  Probe type, buffer;
  auto* const t = type.as<ggml_backend_buffer_type>();
  auto* const b = buffer.as<ggml_backend_buffer>();
  out.expect("alloc_buffer of a buffer type", NAMM_SLOT(ggml_backend_buffer_type, iface.alloc_buffer),
             called([&] { ggml_backend_buft_alloc_buffer(t, 1); }));
  out.expect("is_host of a buffer type", NAMM_SLOT(ggml_backend_buffer_type, iface.is_host),
             called([&] { ggml_backend_buft_is_host(t); }));
  out.expect("device of a buffer type", NAMM_SLOT(ggml_backend_buffer_type, device),
             type.index_of(ggml_backend_buft_get_device(t)));
  out.expect("type of a buffer", NAMM_SLOT(ggml_backend_buffer, buft), buffer.index_of(ggml_backend_buffer_get_type(b)));
  out.expect("size of a buffer", NAMM_SLOT(ggml_backend_buffer, size),
             buffer.index_of(reinterpret_cast<const void*>(ggml_backend_buffer_get_size(b))));
  out.expect("get_base of a buffer", NAMM_SLOT(ggml_backend_buffer, iface.get_base),
             called([&] { ggml_backend_buffer_get_base(b); }));
  out.expect("clear of a buffer", NAMM_SLOT(ggml_backend_buffer, iface.clear), called([&] { ggml_backend_buffer_clear(b, 0); }));
}

void check_devices(Findings& out) {
  Probe device, backend;
  auto* const d = device.as<ggml_backend_device>();
  auto* const b = backend.as<ggml_backend>();
  out.expect("get_name of a device", NAMM_SLOT(ggml_backend_device, iface.get_name), called([&] { ggml_backend_dev_name(d); }));
  out.expect("get_type of a device", NAMM_SLOT(ggml_backend_device, iface.get_type), called([&] { ggml_backend_dev_type(d); }));
  out.expect("init_backend of a device", NAMM_SLOT(ggml_backend_device, iface.init_backend),
             called([&] { ggml_backend_dev_init(d, nullptr); }));
  out.expect("get_buffer_type of a device", NAMM_SLOT(ggml_backend_device, iface.get_buffer_type),
             called([&] { ggml_backend_dev_buffer_type(d); }));
  out.expect("buffer_from_host_ptr of a device", NAMM_SLOT(ggml_backend_device, iface.buffer_from_host_ptr),
             called([&] { ggml_backend_dev_buffer_from_host_ptr(d, nullptr, 0, 0); }));
  out.expect("supports_op of a device", NAMM_SLOT(ggml_backend_device, iface.supports_op),
             called([&] { ggml_backend_dev_supports_op(d, nullptr); }));
  out.expect("supports_buft of a device", NAMM_SLOT(ggml_backend_device, iface.supports_buft),
             called([&] { ggml_backend_dev_supports_buft(d, nullptr); }));
  out.expect("registry of a device", NAMM_SLOT(ggml_backend_device, reg), device.index_of(ggml_backend_dev_backend_reg(d)));
  out.expect("get_name of a backend", NAMM_SLOT(ggml_backend, iface.get_name), called([&] { ggml_backend_name(b); }));
  out.expect("free of a backend", NAMM_SLOT(ggml_backend, iface.free), called([&] { ggml_backend_free(b); }));
  out.expect("graph_compute of a backend", NAMM_SLOT(ggml_backend, iface.graph_compute),
             called([&] { ggml_backend_graph_compute_async(b, nullptr); }));
  out.expect("device of a backend", NAMM_SLOT(ggml_backend, device), backend.index_of(ggml_backend_get_device(b)));
}

void check_registry(Findings& out) {
  Probe registry;
  auto* const r = registry.as<ggml_backend_reg>();
  out.expect("get_name of a registry", NAMM_SLOT(ggml_backend_reg, iface.get_name), called([&] { ggml_backend_reg_name(r); }));
  out.expect("get_device_count of a registry", NAMM_SLOT(ggml_backend_reg, iface.get_device_count),
             called([&] { ggml_backend_reg_dev_count(r); }));
  out.expect("get_device of a registry", NAMM_SLOT(ggml_backend_reg, iface.get_device),
             called([&] { ggml_backend_reg_dev_get(r, 0); }));
  out.expect("get_proc_address of a registry", NAMM_SLOT(ggml_backend_reg, iface.get_proc_address),
             called([&] { ggml_backend_reg_get_proc_address(r, ""); }));
}

void check_numbers(Findings& out) {
  constexpr std::pair<ggml_op, const char*> kOps[] = {
      {GGML_OP_NONE, "NONE"},       {GGML_OP_SCALE, "SCALE"},         {GGML_OP_MUL_MAT, "MUL_MAT"},
      {GGML_OP_CPY, "CPY"},         {GGML_OP_CONT, "CONT"},           {GGML_OP_VIEW, "VIEW"},
      {GGML_OP_RESHAPE, "RESHAPE"}, {GGML_OP_PERMUTE, "PERMUTE"},     {GGML_OP_SET_ROWS, "SET_ROWS"},
      {GGML_OP_ROPE, "ROPE"},       {GGML_OP_TRANSPOSE, "TRANSPOSE"}, {GGML_OP_FLASH_ATTN_EXT, "FLASH_ATTN_EXT"}};
  for (const auto& [op, name] : kOps)
    if (std::strcmp(ggml_op_name(op), name) != 0)
      out.require(
          (std::string("operation ") + name + ": number " + std::to_string(op) + " here, there that is " + ggml_op_name(op))
              .c_str(),
          false);
  constexpr std::pair<ggml_type, const char*> kTypes[] = {{GGML_TYPE_F32, "f32"},   {GGML_TYPE_F16, "f16"},
                                                          {GGML_TYPE_BF16, "bf16"}, {GGML_TYPE_Q8_0, "q8_0"},
                                                          {GGML_TYPE_I64, "i64"},   {GGML_TYPE_I32, "i32"}};
  for (const auto& [type, name] : kTypes)
    out.require("numbers of the tensor types", std::strcmp(ggml_type_name(type), name) == 0);
}

void check_tensors(Findings& out) {
  alignas(16) std::array<char, 16384> memory;
  ggml_context* const context = ggml_init({memory.size(), memory.data(), true});
  out.require("ggml_init", context != nullptr);
  if (!context) return;
  ggml_tensor* const cache = ggml_new_tensor_2d(context, GGML_TYPE_F16, 64, 8);
  ggml_tensor* const rows = ggml_new_tensor_2d(context, GGML_TYPE_F32, 64, 3);
  ggml_tensor* const cells = ggml_new_tensor_1d(context, GGML_TYPE_I64, 3);
  ggml_set_name(cache, "cache_k_l0");
  ggml_tensor* const write = ggml_set_rows(context, cache, rows, cells);
  ggml_tensor* const query = ggml_new_tensor_3d(context, GGML_TYPE_F32, 64, 1, 1);
  ggml_tensor* const keys = ggml_new_tensor_3d(context, GGML_TYPE_F16, 64, 8, 1);
  ggml_tensor* const mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, 8, 64);
  ggml_tensor* const attention = ggml_flash_attn_ext(context, query, keys, keys, mask, 0.375f, 0.0f, 2.5f);
  float scale[3];
  std::memcpy(scale, attention->op_params, sizeof scale);
  out.require("shape of a tensor", cache->type == GGML_TYPE_F16 && cache->ne[0] == 64 && cache->ne[1] == 8 && cache->ne[2] == 1 &&
                                       cache->nb[0] == 2 && cache->nb[1] == 128);
  out.require("name of a tensor", std::strcmp(cache->name, "cache_k_l0") == 0);
  out.require("a node that writes rows", write->op == GGML_OP_SET_ROWS && write->src[0] == rows && write->src[1] == cells &&
                                             write->view_src == cache && write->view_offs == 0);
  out.require("a node of flash attention", attention->op == GGML_OP_FLASH_ATTN_EXT && attention->src[0] == query &&
                                               attention->src[1] == keys && attention->src[2] == keys &&
                                               attention->src[3] == mask && scale[0] == 0.375f && scale[2] == 2.5f);
  cache->data = memory.data();
  out.require("data of a tensor", ggml_get_data(cache) == memory.data());
  if (out.text.empty()) {  // where ggml looks for the buffer, and there for what reads and writes it
    Probe buffer;
    cache->buffer = buffer.as<ggml_backend_buffer>();
    char byte = 0;
    out.expect("get_tensor of a buffer", NAMM_SLOT(ggml_backend_buffer, iface.get_tensor),
               called([&] { ggml_backend_tensor_get(cache, &byte, 0, 1); }));
    out.expect("set_tensor of a buffer", NAMM_SLOT(ggml_backend_buffer, iface.set_tensor),
               called([&] { ggml_backend_tensor_set(cache, &byte, 0, 1); }));
  }
  ggml_free(context);
}

}  // namespace

std::string layout_problem() {
  Findings out;
  check_registry(out);
  check_buffers(out);
  check_devices(out);
  check_numbers(out);
  if (out.text.empty()) check_tensors(out);
  return out.text;
}

}  // namespace namm::llama
