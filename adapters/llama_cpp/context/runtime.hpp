#pragma once
#include <cstddef>
#include <cstdint>

namespace namm::llama {

/// The functions of llama.cpp that follow a context: those of the program that was attached to, or those that we are linked with.
/// Contexts and memories are llama.cpp's opaque pointers. No structure of llama.h appears: its layout may change.
struct Runtime {
  void* (*get_memory)(const void* context) = nullptr;
  std::uint32_t (*sequences)(const void* context) = nullptr;                       ///< llama_n_seq_max
  std::int32_t (*newest_position)(void* memory, std::int32_t sequence) = nullptr;  ///< llama_memory_seq_pos_max
  std::int32_t (*window)(const void* model) = nullptr;                             ///< llama_model_n_swa
  int (*rope_type)(const void* model) = nullptr;                                   ///< llama_model_rope_type
  bool (*hybrid)(const void* model) = nullptr;                                     ///< llama_model_is_hybrid
  bool (*remove)(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to) = nullptr;  ///< llama_memory_seq_rm
  void (*clear)(void* memory, bool data) = nullptr;                                                   ///< llama_memory_clear
  std::size_t (*state_size)(void* context) = nullptr;  ///< llama_state_get_size, and so on
  std::size_t (*get_state)(void* context, std::uint8_t* to, std::size_t size) = nullptr;
  std::size_t (*set_state)(void* context, const std::uint8_t* from, std::size_t size) = nullptr;
  std::size_t (*sequence_state_size)(void* context, std::int32_t sequence, std::uint32_t flags) = nullptr;
  std::size_t (*get_sequence_state)(void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence,
                                    std::uint32_t flags) = nullptr;
  std::size_t (*set_sequence_state)(void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence,
                                    std::uint32_t flags) = nullptr;
  const char* llama_version = nullptr;  ///< null if the program's llama.cpp does not say
  const char* ggml_version = nullptr;
};

}  // namespace namm::llama
