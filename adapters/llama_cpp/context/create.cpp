#include "adapters/llama_cpp/context/create.hpp"

#include <ggml.h>

#include <array>
#include <stdexcept>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/cache_type.hpp"

namespace namm::llama {
namespace {

void require_cache_type(const char* field, ggml_type type, const CachePolicy& policy) {
  if (!CacheType::known(type))
    throw std::invalid_argument(std::string(field) + ": must be f16, f32, bf16 or q8_0 with a policy attached, is " +
                                ggml_type_name(type) + "; use f16, which evicted holds less than " + ggml_type_name(type) +
                                " in full");
  if (type == GGML_TYPE_Q8_0 && policy.reads_tokens())
    throw std::invalid_argument(std::string(field) +
                                ": must be f16, f32 or bf16 for a policy that reads keys, is q8_0, for which llama.cpp rotates "
                                "them; use f16");
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
