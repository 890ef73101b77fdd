#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>

#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

/// One prompt and what was generated behind it, in one sequence.
struct Request {
  std::int64_t number = 0;            ///< from 1, over all contexts: given by who writes it down first
  std::int32_t sequence = -1;         ///< the runtime's, a slot of the server; -1: not certain
  std::int64_t reused_tokens = 0;     ///< of the prompt, already in the cache
  std::int64_t prompt_tokens = 0;     ///< evaluated
  std::int64_t generated_tokens = 0;  ///< sampled, the last one, which is not evaluated, too
  double seconds = 0;                 ///< from its first batch to its last
  SequenceUse cache;                  ///< when it ended
};

/// Who a key is: the sequence, -1 if it may be several, and how many.
struct Holder {
  std::int32_t sequence = -1;
  std::int64_t count = 1;
};

/// Cuts what a context evaluates into requests. The runtime does not tell where one ends; it shows in the batches and in what is
/// read of them: a token behind one that was sampled from is generated, what comes before any was sampled is the prompt.
///   a prompt begins where a sequence goes on by several tokens after it was sampled from, or where it was cut; of answers that
///   grow side by side, by more tokens than there are answers: they are one request, and their tokens are added up;
///   a request ends with the next prompt or when its sequence is removed. After a pause it is reported, too, and again, with the
///   same number, if it went on: the last report counts.
/// Prompts of a single token behind a generation count as generated. Where no output is ever read (llama-bench), every single
/// token behind others counts as generated.
class RequestLog {
 public:
  /// Sets the number if it is 0.
  using Ended = std::function<void(Request&)>;
  /// Nothing evaluated for so long: a request has probably ended. Slow readers and grammars take one or two.
  static constexpr double kPauseSeconds = 3;
  explicit RequestLog(Ended ended) : ended_(std::move(ended)) {}

  /// After a batch, from `began` to `now` (seconds): what was evaluated, and who holds what.
  void batch(std::span<const BatchShare> shares, std::span<const SequenceUse> uses,
             const std::function<Holder(std::int64_t)>& holder_of, double began, double now);
  /// The program read an output of the newest batch: of its token `index`, from the end if negative.
  void output_read(std::int32_t index) { read_.insert(index); }
  /// Ends the request of a sequence, or of all (the context goes).
  void end(std::int64_t key);
  void end_all();
  /// Reports requests that nothing was evaluated for since `before`; they may go on.
  void pause(double before);

 private:
  struct Open {
    Request request;
    std::int32_t last = -1;  // newest position
    double began = 0, ended = 0;
    std::int64_t tokens = 0;   // in the newest batch
    std::int64_t answers = 1;  // side by side
    std::int64_t most_answers = 1;
    std::int64_t singles = 0;  // tokens in batches with one of each answer, behind others
    bool sampled = false;      // an output of its newest token was read
    bool changed = false;      // since it was reported
  };
  void note_sampled();
  void report(Open& open);
  void finish(std::map<std::int64_t, Open>::iterator which);
  Ended ended_;
  std::map<std::int64_t, Open> open_;
  std::set<std::int32_t> read_;  // outputs of the newest batch
  bool any_read_ = false;        // an output, ever
};

}  // namespace namm::llama
