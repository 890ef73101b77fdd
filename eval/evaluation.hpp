#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/record.hpp"
#include "host/host.hpp"
#include "host/host_pool.hpp"
#include "host/protocol.hpp"

namespace namm::eval {

/// What one policy did on one prompt.
struct Measurement {
  double score = 0;           ///< of the greedy answer, 0..1
  bool exact = false;         ///< the greedy answer begins with an accepted one
  double log_likelihood = 0;  ///< of the gold answer, nat per token
  double kl = 0;              ///< KL(full || this) per position of the gold answer, nat; NaN without a full run
  CacheUsage usage;           ///< when the answer begins
  std::size_t prefill_tokens = 0, decode_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  std::vector<std::vector<float>> log_probabilities;  ///< [answer position][vocabulary], kept of the full run only

  // of watched prompts only
  std::vector<HeadContent> content;  ///< when the answer begins
  std::vector<CacheUsage> timeline;  ///< behind every piece of the prompt, thus behind every update
};

/// Presents a prompt (present) and measures the answer. With `full`, compares distributions with it; without, keeps them.
Measurement measure_prompt(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol,
                           const Measurement* full, bool watched);

/// What a prompt is measured under; may look at it first (calibrate::Hindsight). Called from several threads at once.
using MemoryOfPrompt = std::function<CachePolicy(Host& host, const Prompt& prompt)>;

/// All prompts under the same kind of memory, on a pool; the first `watched` of them are watched. Nothing if stopped. `full` is
/// empty or one per prompt.
std::optional<std::vector<Measurement>> measure_prompts(HostPool& pool, const MemoryOfPrompt& memory_of,
                                                        std::span<const Prompt> prompts, const ProtocolSettings& protocol,
                                                        std::span<const Measurement> full, std::size_t watched,
                                                        const std::atomic<bool>* stop, const Progress& progress);

/// Means, intervals and rates of measurements, next to the full cache's on the same prompts; `full` is empty where they are the
/// full cache's own. `units`: tasks::Sample::unit of each prompt.
void summarise(std::span<const Measurement> measured, std::span<const Measurement> full, const std::vector<std::string>& units,
               ResultRecord& record);

/// Seconds that a host takes to read a token, for estimates; measured on 64 tokens, or `longest` if that is less, so that they
/// fit where the longest text does. Leaves the host reset.
double seconds_per_token(Host& host, std::size_t longest);

/// Peak resident memory of the process (VmHWM) since the last reset, bytes; 0 if the system does not tell.
std::int64_t peak_resident_bytes();
void reset_peak_resident();

}  // namespace namm::eval
