#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

/// One prompt and what was generated behind it, in one sequence.
struct Request {
  std::int64_t number = 0;         ///< from 1, over all contexts: given by who writes it down
  std::int32_t sequence = -1;      ///< the runtime's, a slot of the server; -1: not certain
  std::int64_t reused_tokens = 0;  ///< of the prompt, already in the cache
  std::int64_t prompt_tokens = 0;  ///< evaluated
  std::int64_t generated_tokens = 0;
  double seconds = 0;  ///< from its first batch to its last
  SequenceUse cache;   ///< when it ended
};

/// Cuts what a context evaluates into requests. The runtime does not tell where one ends; it shows in the batches:
///   a prompt begins where a sequence goes on by several tokens after it was generating, or where it was cut;
///   a request ends with the next prompt, when its sequence is removed, when others go on without it, or after a pause.
/// Prompts of a single token behind a generation count as generated.
class RequestLog {
 public:
  using Ended = std::function<void(const Request&)>;
  explicit RequestLog(Ended ended) : ended_(std::move(ended)) {}

  /// After a batch, at `now` seconds: what was evaluated, and who holds what.
  void batch(std::span<const BatchShare> shares, std::span<const SequenceUse> uses,
             const std::function<std::int32_t(std::int64_t)>& sequence_of, double began, double now);
  /// Ends the request of a sequence, or of all (nothing was evaluated for a while; the context goes).
  void end(std::int64_t key);
  void end_all();

 private:
  struct Open {
    Request request;
    std::int32_t last = -1;  // newest position
    double began = 0;
  };
  void finish(std::map<std::int64_t, Open>::iterator which);
  Ended ended_;
  std::map<std::int64_t, Open> open_;
};

}  // namespace namm::llama
