#include "cli/run_session.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>

#include "cli/evaluation.hpp"

namespace namm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool stopped(const RunCallbacks& callbacks) {
  return callbacks.stop && *callbacks.stop;
}

/// Evaluates tokens in the pieces that a host would make of them; `position` is the number of tokens before them.
class Reader {
 public:
  Reader(llama::LlamaHost& host, int interval_tokens, std::size_t all, const RunCallbacks& callbacks)
      : host_(host), interval_(static_cast<std::size_t>(interval_tokens)), all_(all), callbacks_(callbacks) {}

  /// False if interrupted.
  bool read(std::span<const Token> tokens) {
    while (!tokens.empty()) {
      if (stopped(callbacks_)) return false;
      const std::size_t piece = std::min({tokens.size(), interval_ - position_ % interval_, kChunk});
      host_.evaluate(tokens.first(piece));
      tokens = tokens.subspan(piece);
      position_ += piece;
      if (callbacks_.reading) callbacks_.reading(position_, all_);
    }
    return true;
  }

 private:
  static constexpr std::size_t kChunk = static_cast<std::size_t>(llama::LlamaHostSettings{}.chunk_tokens);
  llama::LlamaHost& host_;
  std::size_t interval_, all_, position_ = 0;
  const RunCallbacks& callbacks_;
};

bool read_prompt(llama::LlamaHost& host, const Memory& memory, const evolve::Prompt& prompt,
                 const evolve::ProtocolSettings& protocol, const RunCallbacks& callbacks) {
  host.reset(memory);
  Reader reader(host, memory.interval_tokens, prompt.context.size() + prompt.question.size(), callbacks);
  if (!reader.read(prompt.context)) return false;
  if (protocol.question_after) host.update();
  if (!reader.read(prompt.question)) return false;
  if (!protocol.question_after) host.update();
  return true;
}

}  // namespace

double RunOutcome::decode_tokens_per_second() const {
  if (generated_tokens < 2) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(generated_tokens - 1) / decode_seconds;
}

RunOutcome run_prompt(llama::LlamaHost& host, const Memory& memory, const evolve::Prompt& prompt,
                      const evolve::ProtocolSettings& protocol, int max_tokens, const RunCallbacks& callbacks) {
  RunOutcome out;
  auto start = Clock::now();
  out.complete = read_prompt(host, memory, prompt, protocol, callbacks);
  out.prefill_seconds = seconds_since(start);
  out.prompt_tokens = prompt.context.size() + prompt.question.size();
  start = Clock::now();
  for (int i = 0; out.complete && i < max_tokens; ++i) {
    const Generation next = host.generate(1, false);  // chooses a token, does not evaluate it yet
    if (next.tokens.empty()) break;
    out.text += next.text;
    ++out.generated_tokens;
    if (callbacks.text) callbacks.text(next.text);
    out.complete = !stopped(callbacks);
    if (i + 1 < max_tokens && out.complete) host.evaluate(next.tokens);
  }
  out.decode_seconds = seconds_since(start);
  out.peak_rss_bytes = peak_resident_bytes();
  if (host.store()) {
    out.usage = host.usage();
    out.kept = host.store()->content();
  }
  return out;
}

}  // namespace namm::cli
