#include "tests/llama/context.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <tuple>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/context/create.hpp"
#include "namm/policy.hpp"

namespace namm::test {

Context::Context(std::shared_ptr<const llama::LlamaModel> model, const ContextSettings& settings)
    : model_(std::move(model)), positions_(static_cast<std::size_t>(settings.sequences), 0) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(settings.cells);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(settings.ubatch);
  params.n_seq_max = static_cast<std::uint32_t>(settings.sequences);
  params.kv_unified = settings.unified;
  params.n_threads = params.n_threads_batch = 1;
  params.swa_full = settings.whole_window_cache;
  params.type_k = settings.type_k;
  params.type_v = settings.type_v;
  params.offload_kqv = false;
  params.flash_attn_type = settings.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  if (settings.reference) {
    params.cb_eval = AttentionReference::callback;
    params.cb_eval_user_data = settings.reference;
  }
  if (settings.watcher.first) std::tie(params.cb_eval, params.cb_eval_user_data) = settings.watcher;
  if (settings.callback) {
    params.cb_eval = llama::CallbackMemory::callback;
    params.cb_eval_user_data = settings.callback;
  }
  std::optional<llama::AttachScope> scope;
  if (settings.memory) scope.emplace(*settings.memory);
  context_ = llama_init_from_model(model_->get(), params);
  if (!context_) throw std::runtime_error("llama.cpp cannot create a context: " + llama::last_llama_error());
  try {
    if (settings.callback) settings.callback->attach(context_);
    callback_ = settings.callback;
    if (!scope) return;
    store_ = &scope->finish({model_->description().model, llama::traits_of(model_->get()), llama_model_n_swa(model_->get())});
  } catch (...) {
    llama_free(context_);
    throw;
  }
}

Context::~Context() {
  llama_free(context_);
}

Logits Context::decode(std::span<const Step> steps) {
  return decode_steps(context_, store_, positions_, steps, [this] {
    llama_synchronize(context_);
    if (store_) store_->batch_done();
    if (callback_) callback_->finish_batch();
  });
}

Logits Context::evaluate(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence) {
  return decode_in_chunks(tokens, chunk, sequence, [this](std::span<const Step> steps) { return decode(steps); });
}

void Context::clear() {
  llama_memory_clear(llama_get_memory(context_), false);
  std::fill(positions_.begin(), positions_.end(), 0);
}

bool Context::remove_from(int position) {
  positions_[0] = position;
  return llama_memory_seq_rm(llama_get_memory(context_), 0, position, -1);
}

double largest_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) throw std::invalid_argument("largest_difference: not the same number of tokens");
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      const double difference = std::abs(static_cast<double>(a[i][j]) - static_cast<double>(b[i][j]));
      out = difference >= out || std::isnan(difference) ? difference : out;
    }
  return out;
}

double largest(const std::vector<std::vector<float>>& a) {
  double out = 0;
  for (const auto& row : a)
    for (const float x : row) out = std::max(out, std::abs(static_cast<double>(x)));
  return out;
}

CachePolicy full_memory() {
  CachePolicy memory;
  memory.policy = make_policy("full");
  return memory;
}

std::vector<std::filesystem::path> real_models() {
  std::vector<std::filesystem::path> out;
  if (const char* const named = std::getenv("NAMM_TEST_MODEL"); named && *named) out.emplace_back(named);
  const std::filesystem::path own = std::filesystem::path(NAMM_SOURCE_DIR) / "experiments/hosts/jamba-recall.gguf";
  if (std::filesystem::exists(own)) out.push_back(own);
  return out;
}

}  // namespace namm::test
