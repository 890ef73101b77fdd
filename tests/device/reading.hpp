#pragma once
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/support/probe_policy.hpp"
#include "tests/support/tiny_model.hpp"

namespace namm::test {

/// A policy whose network scores features of the attention spectrogram, with made-up weights.
inline std::shared_ptr<const Policy> spectrogram_policy(const char* name = "namm", const char* features = "paper") {
  const auto out = make_policy(name, {{"features", features}});
  std::vector<float> weights(out->parameter_count());
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0f, 0.5f);
  for (float& weight : weights) weight = normal(random);
  out->set_parameters(weights);
  return std::shared_ptr<const Policy>(out->clone());
}

/// Policies of every kind that can decide about a cache in device memory.
inline std::vector<CachePolicy> held_policies(const TinyShape& shape) {
  std::vector<LayerDescription> cached;
  for (int layer = 0; layer < shape.layers; ++layer) cached.push_back({layer, shape.kv_heads, shape.head_size, shape.head_size});
  std::vector<CachePolicy> out;
  for (const std::shared_ptr<const Policy>& policy : std::vector<std::shared_ptr<const Policy>>{
           make_policy("full"), make_policy("random"), make_policy("h2o"), spectrogram_policy(), probe_policy(cached, 3)}) {
    CachePolicy& memory = out.emplace_back();
    memory.policy = policy;
    memory.interval_tokens = 64;
    if (policy->name() == std::string("full")) continue;
    memory.selection.budget = {Budget::Unit::tokens, 48};
    memory.selection.sinks = 2;
    memory.selection.recent = 8;
  }
  return out;
}

/// Reads tokens of a sequence, in batches of 40; the logits behind the last.
inline std::vector<float> read(llama::Attached& attached, std::span<const std::int32_t> tokens, llama_seq_id sequence, int from) {
  llama_batch batch = llama_batch_init(40, 0, 1);
  const std::unique_ptr<llama_batch, void (*)(llama_batch*)> freed(&batch, [](llama_batch* b) { llama_batch_free(*b); });
  for (std::size_t at = 0; at < tokens.size(); at += 40) {
    batch.n_tokens = static_cast<std::int32_t>(std::min<std::size_t>(40, tokens.size() - at));
    for (int i = 0; i < batch.n_tokens; ++i) {
      batch.token[i] = tokens[at + static_cast<std::size_t>(i)];
      batch.pos[i] = from + static_cast<int>(at) + i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = sequence;
      batch.logits[i] = i + 1 == batch.n_tokens;
    }
    attached.decode(batch);
  }
  const float* const logits = llama_get_logits_ith(attached.context(), -1);
  return {logits, logits + 64};
}

}  // namespace namm::test
