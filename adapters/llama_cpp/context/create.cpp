#include "adapters/llama_cpp/context/create.hpp"

#include <ggml.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/cache_type.hpp"

namespace namm::llama {
namespace {

/// The type as ggml calls it, also where the caller's number is none of ggml's.
std::string type_name(ggml_type type) {
  const auto number = static_cast<std::int64_t>(type);
  const char* const name = number >= 0 && number < GGML_TYPE_COUNT ? ggml_type_name(type) : nullptr;
  return name ? name : "the number " + std::to_string(number);
}

void require_cache_type(const char* field, ggml_type type, const CachePolicy& policy) {
  if (!CacheType::known(type))
    throw std::invalid_argument(std::string(field) + ": must be f16, f32, bf16 or q8_0 with a policy attached, is " +
                                type_name(type) + "; use f16, and CachePolicy::with_store to pack what is held");
  if (type == GGML_TYPE_Q8_0 && policy.reads_tokens())
    throw std::invalid_argument(
        std::string(field) +
        ": must be f16, f32 or bf16 for a policy that reads keys or values, is q8_0, for which llama.cpp rotates "
        "them; use f16");
}

/// What llama.cpp would answer with an abort, or take silently.
void require_params(const llama_context_params& params) {
  if (params.n_batch == 0)
    throw std::invalid_argument("n_batch: must be at least 1, is 0; keep the default of llama_context_default_params()");
  const int flash = params.flash_attn_type;
  if (flash != LLAMA_FLASH_ATTN_TYPE_AUTO && flash != LLAMA_FLASH_ATTN_TYPE_ENABLED && flash != LLAMA_FLASH_ATTN_TYPE_DISABLED)
    throw std::invalid_argument("flash_attn_type: must be AUTO or ENABLED with a policy attached, is " + std::to_string(flash) +
                                "; keep the default, AUTO");
}

}  // namespace

std::string name_of(const llama_model* model) {
  std::array<char, 128> name{};
  if (llama_model_meta_val_str(model, "general.name", name.data(), name.size()) <= 0)
    llama_model_desc(model, name.data(), name.size());
  return name.data();
}

ModelTraits traits_of(const llama_model* model) {
  ModelTraits out;
  out.recurrent = llama_model_is_recurrent(model) && !llama_model_is_hybrid(model);
  out.encoder_decoder = llama_model_has_encoder(model) && llama_model_has_decoder(model);
  out.encoder = llama_model_has_encoder(model) && !llama_model_has_decoder(model);
  const auto rope = llama_model_rope_type(model);
  out.several_positions = rope > 0 && (rope & GGML_ROPE_TYPE_MROPE) != 0;
  out.layers = llama_model_n_layer(model);
  return out;
}

StoredContext create_with_store(llama_model* model, llama_context_params params, const CachePolicy& policy,
                                const std::string& name) {
  require_params(params);
  require_cache_type("type_k", params.type_k, policy);
  require_cache_type("type_v", params.type_v, policy);
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  AttachScope scope(policy);
  StoredContext out;
  out.context.reset(llama_init_from_model(model, params));
  if (!out.context) throw NoContext(name, "its log says why");
  out.store = &scope.finish({name, traits_of(model), llama_model_n_swa(model)});
  return out;
}

}  // namespace namm::llama
