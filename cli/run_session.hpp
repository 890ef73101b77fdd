#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "host/protocol.hpp"

namespace namm::cli {

/// What happened when one prompt was put to a model with one memory.
struct RunOutcome {
  std::string text;
  bool complete = true;             ///< false: interrupted
  std::optional<CacheUsage> usage;  ///< when the last token was there; nothing for the runtime's own cache
  std::size_t prompt_tokens = 0, generated_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  std::int64_t peak_rss_bytes = 0;  ///< of the process since the run began
  std::vector<HeadContent> kept;

  double prefill_tokens_per_second() const { return static_cast<double>(prompt_tokens) / prefill_seconds; }
  /// The first token comes from the prompt's own logits and is not counted.
  double decode_tokens_per_second() const;
};

struct RunCallbacks {
  std::function<void(std::size_t done, std::size_t all)> reading;  ///< tokens of the prompt
  std::function<void(std::string_view piece)> text;                ///< of each token, may be part of a character
  const std::atomic<bool>* stop = nullptr;
};

/// Presents the prompt (present()), then generates greedily.
RunOutcome run_prompt(llama::LlamaHost& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol,
                      int max_tokens, const RunCallbacks& callbacks);

}  // namespace namm::cli
