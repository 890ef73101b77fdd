// Reads a text with a quarter of the KV cache:  ./attach MODEL.gguf TEXT.txt
#include <namm/llama.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL.gguf TEXT.txt\n", argv[0]), 2;
  llama_log_set(
      [](ggml_log_level level, const char* line, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(line, stderr);
      },
      nullptr);
  llama_model* const model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model) return 1;  // llama.cpp has said why
  std::ifstream file(argv[2]);
  if (!file) return std::fprintf(stderr, "%s: cannot be read\n", argv[2]), 1;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<llama_token> tokens(text.size() + 8);
  tokens.resize(static_cast<std::size_t>(llama_tokenize(llama_model_get_vocab(model), text.data(), static_cast<int>(text.size()),
                                                        tokens.data(), static_cast<int>(tokens.size()), true, false)));

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(tokens.size()) + 256;  // unused cells cost no memory
  const auto policy = namm::load_policy("default").with_budget("25%");
  auto attached = namm::llama::attach(model, params, policy);  // throws with the reason if it cannot
  for (std::size_t at = 0; at < tokens.size(); at += 512)
    attached.decode(llama_batch_get_one(tokens.data() + at, static_cast<int>(std::min<std::size_t>(512, tokens.size() - at))));
  attached.update();  // brings the cache to its budget now; else every policy.interval_tokens tokens

  const namm::CacheUsage usage = attached.usage();
  std::printf("%lld tokens read: %.1f %% of the entries kept; %.0f instead of %.0f KiB held, %.1f %% freed\n",
              static_cast<long long>(usage.tokens_seen), 100 * (1 - usage.logical_saving()),
              static_cast<double>(usage.kv_bytes + usage.statistics_bytes) / 1024,
              static_cast<double>(usage.kv_bytes_full) / 1024, 100 * usage.physical_saving());
  return 0;
} catch (const std::exception& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
