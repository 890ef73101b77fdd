#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm::llama {

/// What decides whether a policy attaches to a model. The header of its file tells most of it, the loaded model and the graphs of
/// its context the rest: who asks fills in what is known there.
struct ModelTraits {
  std::string architecture;        ///< "" = unknown
  bool adapter = false;            ///< a LoRA, not a model
  bool projector = false;          ///< of images or sound, for a language model
  bool recurrent = false;          ///< no layer attends
  bool encoder = false;            ///< reads the whole text at once
  bool encoder_decoder = false;    ///< attends to an encoder's output, too
  bool index = false;              ///< keeps another cache beside keys and values
  bool latent = false;             ///< multi-head latent attention
  bool position_bias = false;      ///< ALiBi
  bool several_positions = false;  ///< of a token (M-RoPE)
  std::int64_t layers = 0;         ///< all layers
  std::int64_t cached = 0;         ///< layers with a KV cache
  std::int64_t windowed = 0;       ///< those of them that see a sliding window
};

/// Why no policy attaches to such a model, with what would work; empty if one does.
std::string why_not_attachable(const ModelTraits& model);

/// The same as an exception: std::runtime_error "model NAME: a policy cannot be attached: ...".
void require_attachable(const std::string& name, const ModelTraits& model);
[[noreturn]] void refuse_model(const std::string& name, const std::string& why);

/// Throws std::invalid_argument if the policy cannot work, or cannot work on these layers: it was calibrated on another model.
void require_policy_fits(const CachePolicy& policy, std::span<const LayerDescription> cached);

/// Sentences for what two of those who ask can find.
inline constexpr std::string_view kWhyLatent =
    "keys and values share one compressed tensor (multi-head latent attention), so no head has entries of its own; use a model "
    "with keys and values per head";
inline constexpr std::string_view kWhyPositionBias =
    "it biases attention by where a token lies in the cache (ALiBi), which dropping tokens changes; use a model with rotary "
    "positions or none";
inline constexpr std::string_view kWhyRotated =
    "the KV cache must be of type f16, f32 or bf16 for a policy that reads keys or values, is q8_0, for which llama.cpp rotates "
    "them; change --cache-type-k and --cache-type-v";
inline constexpr std::string_view kWhyIndex =
    "it keeps an index beside the cache of keys and values, which would still name dropped tokens; use a model without one";

}  // namespace namm::llama
