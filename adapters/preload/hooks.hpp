#pragma once
// Between the two libraries of `namm attach`: the preloaded one (preload.cpp), which stands in front of the program's llama.cpp
// and knows nothing, and the module (module.cpp), which holds the ggml backend and the policy. Both come from one build.
//
// Contexts and memories are llama.cpp's opaque pointers. No structure of llama.h appears: its layout may change.
#include <cstddef>
#include <cstdint>

#include "adapters/llama_cpp/context/runtime.hpp"

namespace namm::preload {

using llama::Runtime;

/// What the preloaded library calls of the module. Nothing throws.
struct Hooks {
  bool (*start)(const Runtime& runtime);              ///< once; false: the settings are wrong, the reason was printed
  void (*creating)();                                 ///< a context is about to be created on this thread
  bool (*created)(const void* model, void* context);  ///< false: cannot be attached to, the reason was printed; free it
  void (*freeing)(const void* context);
  bool (*before_batch)(const void* context);            ///< false: the process exits, nothing may be computed any more
  int (*after_batch)(const void* context, int status);  ///< the status to return
  bool (*attached)(const void* memory);
  bool (*attached_context)(const void* context);
  void (*cleared)(const void* memory);
  void (*removed)(const void* memory, std::int32_t sequence);  ///< all of it
  void (*kept_only)(const void* memory, std::int32_t sequence);
  /// True if the copy may go on: within one stream, where it copies no keys and values.
  bool (*copying)(const void* memory, std::int32_t source, std::int32_t target, std::int32_t to);
  /// Something the store does not follow: printed, and batches with this sequence (-1: all) fail until it is removed, so that
  /// nothing goes on as if it had worked.
  void (*refused)(const void* memory, std::int32_t sequence, const char* operation);
  /// True if the sequence (-1: every one) can be cut so that `from` is the first position gone; else the reason was printed. Also
  /// true in programs that end themselves where that is refused: then its next batches fail.
  bool (*cutting)(const void* memory, std::int32_t sequence, std::int32_t from);
  // Saved states, of one sequence or (-1) of the context, with what the policy holds; 0 and a printed reason if that fails.
  std::size_t (*state_size)(void* context, std::int32_t sequence, std::uint32_t flags);
  std::size_t (*save_state)(void* context, std::int32_t sequence, std::uint32_t flags, std::uint8_t* to, std::size_t size);
  std::size_t (*load_state)(void* context, std::int32_t sequence, std::uint32_t flags, const std::uint8_t* from,
                            std::size_t size);
  std::size_t (*save_session)(void* context, std::int32_t sequence, const char* path, const std::int32_t* tokens,
                              std::size_t count);
  std::size_t (*load_session)(void* context, std::int32_t sequence, const char* path, std::int32_t* tokens, std::size_t capacity,
                              std::size_t* count);
  /// The oldest position the sequence can be cut to and go on with what it held there; `real` is llama.cpp's own answer.
  std::int32_t (*oldest_position)(const void* memory, std::int32_t sequence, std::int32_t real);
  void (*say)(const char* sentence);
  /// The program read an output of the newest batch: of its token `index`, from the end if negative.
  void (*output_read)(const void* context, std::int32_t index);
};

}  // namespace namm::preload

/// Exported by the module, beside ggml_backend_init.
extern "C" const namm::preload::Hooks* namm_preload_hooks();
