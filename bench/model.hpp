#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/llama_cpp/host/llama_model.hpp"
#include "bench/measure.hpp"
#include "host/host.hpp"

namespace namm::bench {

/// A prompt of one length under one memory; medians over the repetitions.
struct ModelRun {
  std::string name;  ///< "stock, -fa on" (flash attention), "stock, -fa off", "attached, full cache", "attached, the policy"
  std::size_t length_tokens = 0;
  double prefill_rate = 0, decode_rate = 0;               ///< tokens per second
  std::optional<BenchRatio> prefill_ratio, decode_ratio;  ///< of rates, to stock's with -fa on
  std::int64_t peak_rss_bytes = 0;                        ///< of the process, least over the repetitions
  std::int64_t kv_bytes = 0;                              ///< of the store when decoding ends; 0 for stock
};

struct ModelBench {
  std::string model, policy, budget;
  int threads = 1, decode_tokens = 0;
  std::vector<ModelRun> runs;
};

struct ModelBenchSettings {
  std::shared_ptr<const llama::LlamaModel> model;
  std::string policy_name, budget_text;
  std::vector<CachePolicy> memories;  ///< the policy under its budget, or none
  std::vector<std::size_t> lengths;
  bool on_device = false;  ///< all caches, llama.cpp's too, are where the model's layers are
  int threads = 1, decode_tokens = 32, repetitions = 3;
  BenchClock clock = BenchClock::wall;
};

/// Reads a made-up text of every length and decodes greedily: plain llama.cpp with flash attention and without, our
/// cache with everything kept, our cache with the policy, in turns. A new context for every run, so that its memory counts.
/// `go_on` is told what is next; if it returns false, the lengths that are complete are returned.
ModelBench bench_model(const ModelBenchSettings& settings, const std::function<bool(const std::string& next)>& go_on);

}  // namespace namm::bench
