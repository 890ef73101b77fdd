#include "tests/support/decode_steps.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/backend/attach_scope.hpp"

namespace namm::test {

Logits decode_steps(llama_context* context, const llama::CacheStore* store, std::vector<int>& positions,
                    std::span<const Step> steps, const std::function<void()>& computed) {
  llama_batch batch = llama_batch_init(static_cast<std::int32_t>(steps.size()), 0, 1);
  for (const Step& step : steps) {
    const auto i = static_cast<std::size_t>(batch.n_tokens++);
    batch.token[i] = step.token;
    batch.pos[i] = positions[static_cast<std::size_t>(step.sequence)]++;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = step.sequence;
    batch.logits[i] = 1;
  }
  const int status = llama_decode(context, batch);
  llama_batch_free(batch);
  if (status != 0)
    throw std::runtime_error("llama_decode: status " + std::to_string(status) +
                             (store ? ": " + llama::take_failure(*store) : std::string()));
  computed();
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  Logits out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const float* const row = llama_get_logits_ith(context, static_cast<int>(i));
    out.emplace_back(row, row + vocabulary);
  }
  return out;
}

Logits decode_in_chunks(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence,
                        const std::function<Logits(std::span<const Step>)>& decode) {
  Logits out;
  for (std::size_t begin = 0; begin < tokens.size(); begin += chunk) {
    std::vector<Step> steps;
    for (std::size_t i = begin; i < std::min(tokens.size(), begin + chunk); ++i) steps.push_back({tokens[i], sequence});
    for (auto& row : decode(steps)) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace namm::test
