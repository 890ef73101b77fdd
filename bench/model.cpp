#include "bench/model.hpp"

#include <malloc.h>

#include <algorithm>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "calibrate/texts.hpp"
#include "eval/evaluation.hpp"

namespace namm::bench {
namespace {

struct Sample {
  double prefill_rate, decode_rate;
  std::int64_t peak_rss_bytes, kv_bytes;
};

std::vector<Token> made_up_prompt(const Host& host, std::size_t tokens) {
  std::vector<Token> out = host.tokenize(calibrate::make_text(1, 0, tokens * 8), true);
  const std::size_t have = out.size();
  while (out.size() < tokens) out.push_back(out[1 + out.size() % (have - 1)]);
  out.resize(tokens);
  return out;
}

/// A row of the table: llama.cpp by itself, or with a memory attached.
struct Way {
  std::string name;
  const CachePolicy* memory = nullptr;
  bool flash_attention = true;  ///< of llama.cpp by itself
};

Sample run_once(const ModelBenchSettings& settings, const Way& way, std::size_t length) {
  malloc_trim(0);
  eval::reset_peak_resident();
  llama::LlamaHostSettings host_settings;
  host_settings.context_tokens = static_cast<int>(length) + settings.decode_tokens + 1;
  host_settings.threads = settings.threads;
  if (settings.on_device) host_settings.holder = llama::CacheHolder::device;
  host_settings.stock = way.memory == nullptr;
  host_settings.stock_flash_attention = way.flash_attention;
  llama::LlamaHost host(settings.model, host_settings);
  CachePolicy none;
  none.interval_tokens = host_settings.chunk_tokens;
  host.reset(way.memory ? *way.memory : none);
  const std::vector<Token> prompt = made_up_prompt(host, length);
  Sample out{};
  double start = now(settings.clock);
  host.evaluate(prompt);
  out.prefill_rate = static_cast<double>(length) / (now(settings.clock) - start);
  const auto logits = host.logits();
  auto token = static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  start = now(settings.clock);
  for (int i = 0; i < settings.decode_tokens; ++i) {
    host.evaluate({&token, 1});
    const auto next = host.logits();
    token = static_cast<Token>(std::max_element(next.begin(), next.end()) - next.begin());
  }
  out.decode_rate = settings.decode_tokens / (now(settings.clock) - start);
  out.peak_rss_bytes = eval::peak_resident_bytes();
  out.kv_bytes = host.store() ? host.usage().kv_bytes + host.usage().statistics_bytes : 0;
  return out;
}

}  // namespace

ModelBench bench_model(const ModelBenchSettings& settings, const std::function<bool(const std::string&)>& go_on) {
  ModelBench out{settings.model->description().model,
                 settings.policy_name,
                 settings.budget_text,
                 settings.threads,
                 settings.decode_tokens,
                 {}};
  CachePolicy full;
  std::vector<Way> ways = {{"stock, -fa on"}, {"stock, -fa off", nullptr, false}, {"attached, full cache", &full}};
  for (const CachePolicy& memory : settings.memories) ways.push_back({"attached, the policy", &memory});
  for (const std::size_t length : settings.lengths) {
    std::vector<std::vector<Sample>> samples(ways.size());
    for (int r = 0; r < settings.repetitions; ++r)
      for (std::size_t w = 0; w < ways.size(); ++w) {
        if (!go_on(ways[w].name + ", " + std::to_string(length) + " tokens")) return out;
        samples[w].push_back(run_once(settings, ways[w], length));
      }
    std::vector<double> stock_prefill, stock_decode;
    for (std::size_t w = 0; w < ways.size(); ++w) {
      ModelRun run;
      run.name = ways[w].name;
      run.length_tokens = length;
      std::vector<double> prefill, decode;
      for (std::size_t r = 0; r < samples[w].size(); ++r) {
        const Sample& sample = samples[w][r];
        prefill.push_back(sample.prefill_rate);
        decode.push_back(sample.decode_rate);
        run.peak_rss_bytes = r == 0 ? sample.peak_rss_bytes : std::min(run.peak_rss_bytes, sample.peak_rss_bytes);
        run.kv_bytes = sample.kv_bytes;
      }
      if (w == 0) {
        stock_prefill = prefill;
        stock_decode = decode;
      }
      run.prefill_rate = median(prefill);
      run.decode_rate = median(decode);
      run.prefill_ratio = paired_ratio(prefill, stock_prefill);
      run.decode_ratio = paired_ratio(decode, stock_decode);
      out.runs.push_back(std::move(run));
    }
  }
  return out;
}

}  // namespace namm::bench
