#include "adapters/llama_cpp/host/tail_batch.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/host/context_params.hpp"
#include "adapters/llama_cpp/host/token_batch.hpp"
#include "host/log_softmax.hpp"

namespace namm::llama {
namespace {

constexpr std::size_t kTailRows = 128;  // rows of logits computed at once; a row is as long as the vocabulary

}  // namespace

std::size_t TailBatch::most(const LlamaModel& model, const LlamaHostSettings& settings) {
  // LongRoPE: the runtime takes other rotations for long contexts than for short ones, and this one is long for all branches
  // together; then the keys in the snapshot would be rotated otherwise than the text behind them
  const std::string original = model.metadata(model.description().architecture + ".rope.scaling.original_context_length");
  const long limit = original.empty() ? 0 : std::strtol(original.c_str(), nullptr, 10);
  if (limit > 0 && settings.context_tokens <= limit && settings.context_tokens * static_cast<long>(kMost) > limit) return 1;
  return std::min(kMost, static_cast<std::size_t>(std::max(settings.chunk_tokens, 1)));
}

TailBatch::TailBatch(const LlamaModel& model, const LlamaHostSettings& settings)
    : context_tokens_(settings.context_tokens),
      chunk_tokens_(settings.chunk_tokens),
      vocabulary_(llama_vocab_n_tokens(model.vocab())) {
  llama_context_params params = context_params(settings, settings.context_tokens, static_cast<int>(most(model, settings)));
  params.n_outputs_max = kTailRows;
  try {
    StoredContext made = create_with_store(model.get(), params, {}, model.description().model);
    context_ = std::move(made.context);
    store_ = made.store;
  } catch (const NoContext&) {
    throw NoContext(model.description().model, "several candidates need a larger one: " + last_llama_error() +
                                                   "; use a smaller --context or fewer --workers");
  }
}

void TailBatch::clear() {
  llama_memory_clear(llama_get_memory(context_.get()), false);
  store_->reset({});
}

std::vector<std::vector<double>> TailBatch::log_likelihoods(const HostSnapshot& from,
                                                            std::span<const std::vector<HeadContent>> branches,
                                                            std::span<const Token> question, std::span<const Token> answer) {
  const std::size_t count = branches.size();
  std::vector<std::vector<double>> out(count);
  if (count == 0 || answer.empty()) return out;
  std::vector<Token> text(question.begin(), question.end());
  text.insert(text.end(), answer.begin(), answer.end() - 1);  // nothing follows the last one
  if (from.position + static_cast<int>(text.size()) > context_tokens_)
    throw std::runtime_error("context: holds " + std::to_string(context_tokens_) + " tokens, " +
                             std::to_string(static_cast<std::size_t>(from.position) + text.size()) +
                             " are needed; enlarge it (--context)");
  if (question.empty() && from.logits.empty())
    throw std::invalid_argument(
        "snapshot: must be taken behind at least one token, or a question must follow; nothing was evaluated");
  if (question.empty())
    for (std::vector<double>& nats : out) nats.push_back(log_probability(from.logits, answer[0]));

  clear();
  for (std::size_t b = 0; b < count; ++b) install(from, branches[b], context_.get(), *store_, static_cast<int>(b));
  // of the text's tokens, those from `first_output` on have a token of the answer behind them
  const std::size_t first_output = question.empty() ? 0 : question.size() - 1;
  const std::size_t most_tokens = std::max<std::size_t>(1, static_cast<std::size_t>(chunk_tokens_) / count);
  TokenBatch memory(static_cast<int>(most_tokens * count));
  llama_batch& batch = memory.batch;
  for (std::size_t begin = 0; begin < text.size();) {
    // at most kTailRows / count of them with an output
    const std::size_t end = std::min({text.size(), begin + most_tokens, std::max(begin, first_output) + kTailRows / count});
    batch.n_tokens = 0;
    for (std::size_t b = 0; b < count; ++b)
      for (std::size_t i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(batch.n_tokens++);
        batch.token[at] = text[i];
        batch.pos[at] = from.position + static_cast<int>(i);
        batch.n_seq_id[at] = 1;
        batch.seq_id[at][0] = static_cast<llama_seq_id>(b);
        batch.logits[at] = i >= first_output;
      }
    if (const int status = llama_decode(context_.get(), batch); status != 0) {
      const std::string why = take_failure(*store_);
      throw std::runtime_error("llama.cpp: decoding failed with status " + std::to_string(status) + ": " +
                               (why.empty() ? last_llama_error() : why));
    }
    store_->batch_done();
    for (int row = 0; row < batch.n_tokens; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const auto i = static_cast<std::size_t>(batch.pos[at] - from.position);
      if (batch.logits[at] == 0) continue;
      const std::span<const float> logits(llama_get_logits_ith(context_.get(), row), static_cast<std::size_t>(vocabulary_));
      out[static_cast<std::size_t>(batch.seq_id[at][0])].push_back(log_probability(logits, answer[i + 1 - question.size()]));
    }
    begin = end;
  }
  clear();
  return out;
}

}  // namespace namm::llama
