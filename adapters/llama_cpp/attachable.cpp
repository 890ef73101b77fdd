#include "adapters/llama_cpp/attachable.hpp"

#include <stdexcept>

namespace namm::llama {

std::string why_not_attachable(const ModelTraits& model) {
  if (model.adapter) return "this is an adapter (LoRA), not a model; attach to the model it is for";
  if (model.projector) return "this projects images or sound for a language model and has no KV cache of its own";
  if (model.recurrent)
    return "a purely recurrent model: its state has one size however long the text is, so there is no KV cache and nothing to "
           "free; use a model with attention layers";
  if (model.encoder)
    return "it reads the whole text at once and keeps no KV cache, so there is nothing to free; use a model that generates text";
  if (model.encoder_decoder) return "an encoder-decoder: its cross-attention cache is not one that tokens can be dropped from";
  if (model.layers == 0) return "its header names no layers of a language model";
  if (model.index) return std::string(kWhyIndex);
  if (model.latent) return std::string(kWhyLatent);
  if (model.position_bias) return std::string(kWhyPositionBias);
  if (model.cached > 0 && model.windowed == model.cached)
    return "all of its layers see a sliding window, whose cache does not grow with the text; there is nothing to free";
  if (model.cached == 0)
    return "it has no KV cache, so there is nothing to free; use a model with attention layers that generates text";
  if (model.several_positions)
    return "its tokens have several positions each (M-RoPE, for images), which the store does not follow; use a model for text";
  return {};
}

void refuse_model(const std::string& name, const std::string& why) {
  throw std::runtime_error("model" + (name.empty() ? name : " " + name) + ": a policy cannot be attached: " + why);
}

void require_attachable(const std::string& name, const ModelTraits& model) {
  if (const std::string why = why_not_attachable(model); !why.empty()) refuse_model(name, why);
}

void require_policy_fits(const CachePolicy& policy, std::span<const LayerDescription> cached) {
  require_valid(policy);
  if (policy.policy && policy.policy->reader()) policy.policy->reader()->require_layers(cached);
}

}  // namespace namm::llama
