#include "adapters/llama_cpp/host/llama_host.hpp"

#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/host/context_params.hpp"
#include "adapters/llama_cpp/host/tail_batch.hpp"
#include "adapters/llama_cpp/host/token_batch.hpp"
#include "host/log_softmax.hpp"

namespace namm::llama {
namespace {

constexpr float kLargestFloat = std::numeric_limits<float>::max();

constexpr int kOutputRows = 32;  // rows of logits computed at once; a row is as long as the vocabulary

}  // namespace

LlamaHost::LlamaHost(std::shared_ptr<const LlamaModel> model, const LlamaHostSettings& settings)
    : model_(std::move(model)), settings_(settings), description_(model_->description()) {
  if (settings.stock) {
    open_stock(settings.stock_flash_attention, settings.context_tokens);
    return;
  }
  if (settings.holder == CacheHolder::callback)
    open_with_callback(true, settings.context_tokens);
  else
    open_with_store();
}

llama_context_params LlamaHost::params(bool flash_attention, int cells) const {
  llama_context_params out = context_params(settings_, cells);
  out.n_outputs_max = kOutputRows;
  out.flash_attn_type = flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  if (settings_.stop != nullptr) {
    out.abort_callback = [](void* stop) { return static_cast<const std::atomic<bool>*>(stop)->load(); };
    out.abort_callback_data = const_cast<std::atomic<bool>*>(settings_.stop);  // llama.cpp has no pointer to const there
  }
  out.offload_kqv = callback_ || settings_.holder == CacheHolder::device;
  if (!callback_) return out;
  out.cb_eval = CallbackMemory::callback;
  out.cb_eval_user_data = callback_.get();
  return out;
}

void LlamaHost::open_stock(bool flash_attention, int cells) {
  context_.reset(llama_init_from_model(model_->get(), params(flash_attention, cells)));
  if (!context()) throw NoContext(description_.model, last_llama_error());
  flash_attention_ = flash_attention;
  cells_ = cells;
  most_tokens_ = llama_n_batch(context());  // the chunk's, or a smaller cache's
}

void LlamaHost::open_with_store() {
  cells_ = settings_.context_tokens;
  try {
    StoredContext made = create_with_store(model_->get(), params(true, cells_), {}, description_.model);
    context_ = std::move(made.context);
    store_ = made.store;
  } catch (const NoContext&) {
    throw NoContext(description_.model, last_llama_error());
  }
  most_tokens_ = llama_n_batch(context());
  description_.cached = store_->layers();
}

void LlamaHost::open_with_callback(bool flash_attention, int cells) {
  context_.reset();
  callback_ = std::make_unique<CallbackMemory>();
  open_stock(flash_attention, cells);
  callback_->attach(context());
  callback_->set_threads(settings_.threads);
  callback_->expect_full((settings_.context_tokens + 255) / 256 * 256);
  description_.cached = callback_->layers();
  ModelTraits traits = traits_of(model_->get());
  traits.cached = static_cast<std::int64_t>(description_.cached.size());
  require_attachable(description_.model, traits);
}

LlamaHost::~LlamaHost() = default;

std::vector<Token> LlamaHost::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  if (llama_vocab_type(model_->vocab()) == LLAMA_VOCAB_TYPE_NONE)  // llama.cpp would abort
    throw std::runtime_error("model " + description_.model +
                             ": must have a tokenizer to read texts, has none (tokenizer.ggml.model is no_vocab); convert it "
                             "with its vocabulary");
  const auto length = static_cast<std::int32_t>(text.size());
  std::vector<Token> tokens(text.size() + 2);
  const int count = llama_tokenize(model_->vocab(), text.data(), length, tokens.data(), static_cast<std::int32_t>(tokens.size()),
                                   add_special, parse_special);
  if (count < 0) throw std::runtime_error("text: cannot be tokenised by " + description_.model);
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::vector<Token> LlamaHost::tokenize(std::string_view text, bool add_special) const {
  return tokenize(text, add_special, false);
}
std::vector<Token> LlamaHost::tokenize_template(std::string_view text) const {
  return tokenize(text, false, true);
}

std::string LlamaHost::detokenize(std::span<const Token> tokens) const {
  std::string out;
  for (const Token token : tokens) {
    char piece[256];
    const int length = llama_token_to_piece(model_->vocab(), token, piece, sizeof piece, 0, false);
    if (length > 0) out.append(piece, static_cast<std::size_t>(length));
  }
  return out;
}

Host::ChatTemplate LlamaHost::chat_template() const {
  const char* const name = llama_model_chat_template(model_->get(), nullptr);
  if (!name || !model_->knows_chat_template()) return {};
  // one user turn around a marker, cut there
  constexpr std::string_view marker = "\x02";
  const llama_chat_message message{"user", marker.data()};
  std::vector<char> text(4096);
  const int length = llama_chat_apply_template(name, &message, 1, true, text.data(), static_cast<std::int32_t>(text.size()));
  if (length <= 0 || static_cast<std::size_t>(length) > text.size()) return {};
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  const std::size_t at = whole.find(marker);
  if (at == std::string::npos) return {};
  return {whole.substr(0, at), whole.substr(at + marker.size())};
}

void LlamaHost::reset(const CachePolicy& memory) {
  // flash attention does not show its probabilities, and is faster for policies that do not read them
  if (callback_) {
    const bool flash = !CallbackMemory::needs_probabilities(memory), drops = memory.drops();
    const int cells = drops && settings_.cells > 0 ? settings_.cells : settings_.context_tokens;
    if (!context_ || flash != flash_attention_ || cells != cells_) open_with_callback(flash, cells);
  }
  llama_memory_clear(llama_get_memory(context()), false);
  if (store_) {
    require_policy_fits(memory, description_.cached);
    store_->reset(memory);
  }
  if (callback_) callback_->reset(memory);
  updates_ = memory.drops() || memory.observer != nullptr;
  interval_tokens_ = memory.interval_tokens;
  position_ = 0;
  logits_.clear();
}

void LlamaHost::decode(std::span<const Token> tokens, bool all_logits) {
  TokenBatch batch(static_cast<int>(tokens.size()));
  batch.batch.n_tokens = static_cast<std::int32_t>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    batch.batch.token[i] = tokens[i];
    batch.batch.pos[i] = position_ + static_cast<int>(i);
    batch.batch.n_seq_id[i] = 1;
    batch.batch.seq_id[i][0] = 0;
    batch.batch.logits[i] = all_logits || i + 1 == tokens.size();
  }
  if (position_ + static_cast<int>(tokens.size()) > settings_.context_tokens)
    throw std::runtime_error("context: holds " + std::to_string(settings_.context_tokens) + " tokens, " +
                             std::to_string(position_ + static_cast<int>(tokens.size())) + " are needed; enlarge it (--context)");
  const int status = llama_decode(context(), batch.batch);
  if (status == 1 && callback_)
    throw std::runtime_error("KV cache: must have room for " + std::to_string(tokens.size()) + " tokens beside the " +
                             std::to_string(callback_->usage().cells) + " kept, has " +
                             std::to_string(callback_->usage().cells_allocated) +
                             " cells; raise --cells, or lower --budget or --interval");
  if (status != 0) {
    const std::string why = store_ ? take_failure(*store_) : std::string();
    throw std::runtime_error("llama.cpp: decoding failed with status " + std::to_string(status) + ": " +
                             (why.empty() ? last_llama_error() : why));
  }
  llama_synchronize(context());
  if (store_) store_->batch_done();
  position_ += static_cast<int>(tokens.size());
  if (callback_) callback_->finish_batch();
}

void LlamaHost::keep_logits(int row) {
  const float* const from = llama_get_logits_ith(context(), row);
  logits_.assign(from, from + llama_vocab_n_tokens(model_->vocab()));
  // -inf is a token that cannot come; anything else that is not finite is no answer, and would look like one further on
  const bool wrong = std::any_of(logits_.begin(), logits_.end(), [](float x) { return std::isnan(x) || x > kLargestFloat; });
  if (wrong || *std::max_element(logits_.begin(), logits_.end()) < -kLargestFloat)
    throw std::runtime_error("model " + description_.model + ": must give finite numbers, gives NaN or infinity behind token " +
                             std::to_string(position_) +
                             "; its weights are damaged or overflow their type, or the policy's cache is: compare with --policy "
                             "full, get the file again");
}

void LlamaHost::evaluate(std::span<const Token> tokens) {
  while (!tokens.empty()) {
    const int until_update = interval_tokens_ - position_ % interval_tokens_;
    const auto count = std::min({tokens.size(), static_cast<std::size_t>(until_update), most_tokens_});
    decode(tokens.first(count), false);
    tokens = tokens.subspan(count);
    if (tokens.empty()) keep_logits(-1);
  }
}

void LlamaHost::update() {
  if (store_) store_->update();
  if (callback_) callback_->update();
}

std::vector<double> LlamaHost::log_likelihood(std::span<const Token> tokens) {
  if (logits_.empty()) throw std::invalid_argument("log_likelihood: evaluate at least one token first");
  std::vector<double> out;
  while (!tokens.empty()) {
    const int until_update = interval_tokens_ - position_ % interval_tokens_;
    const auto count =
        std::min({tokens.size(), static_cast<std::size_t>(until_update), static_cast<std::size_t>(kOutputRows), most_tokens_});
    out.push_back(log_probability(logits_, tokens[0]));
    decode(tokens.first(count), true);
    for (std::size_t i = 0; i < count; ++i) {
      keep_logits(static_cast<int>(i));
      if (i + 1 < count) out.push_back(log_probability(logits_, tokens[i + 1]));
    }
    tokens = tokens.subspan(count);
  }
  return out;
}

Generation LlamaHost::generate(int max_tokens, bool stop_at_newline) {
  if (logits_.empty()) throw std::invalid_argument("generate: evaluate at least one token first");
  Generation out;
  const auto start = std::chrono::steady_clock::now();
  while (static_cast<int>(out.tokens.size()) < max_tokens) {
    const auto token = static_cast<Token>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
    if (llama_vocab_is_eog(model_->vocab(), token)) break;
    const std::string piece = detokenize({&token, 1});
    out.tokens.push_back(token);
    out.text += piece;
    if (stop_at_newline && piece.find('\n') != std::string::npos) break;
    if (static_cast<int>(out.tokens.size()) < max_tokens) evaluate({&token, 1});
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

bool LlamaHost::rewind(std::size_t tokens, std::span<const float> logits, std::size_t more) {
  const auto interval = static_cast<std::size_t>(interval_tokens_), now = static_cast<std::size_t>(position_);
  const bool updates = updates_ && std::max(now, tokens + more) / interval != tokens / interval;
  const bool can = store_ != nullptr && settings_.holder == CacheHolder::backend && llama_model_n_swa(model_->get()) == 0 &&
                   !llama_model_is_recurrent(model_->get()) && !llama_model_is_hybrid(model_->get());
  if (!can || updates || tokens > now) return false;
  const auto held = store_->sequences();
  if (held.size() != 1) return false;
  store_->cut(held.front().key, static_cast<std::int32_t>(tokens));
  if (store_->sequences().front().tokens_seen != static_cast<std::int64_t>(tokens)) return false;
  if (!llama_memory_seq_rm(llama_get_memory(context()), 0, static_cast<llama_pos>(tokens), -1)) return false;
  position_ = static_cast<int>(tokens);
  logits_.assign(logits.begin(), logits.end());
  return true;
}

CacheUsage LlamaHost::usage() const {
  if (callback_) return callback_->usage();
  return store_ ? store_->usage() : CacheUsage{};
}

std::vector<HeadContent> LlamaHost::content() const {
  if (callback_) return callback_->content();
  return store_ ? store_->content() : std::vector<HeadContent>{};
}

}  // namespace namm::llama
