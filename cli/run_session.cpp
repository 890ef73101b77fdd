#include "cli/run_session.hpp"

#include <chrono>
#include <limits>

#include "eval/evaluation.hpp"
#include "host/protocol.hpp"

namespace namm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool stopped(const RunCallbacks& callbacks) {
  return callbacks.stop && *callbacks.stop;
}

}  // namespace

double RunOutcome::decode_tokens_per_second() const {
  if (generated_tokens < 2) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(generated_tokens - 1) / decode_seconds;
}

RunOutcome run_prompt(llama::LlamaHost& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol,
                      int max_tokens, const RunCallbacks& callbacks) {
  RunOutcome out;
  auto start = Clock::now();
  out.prompt_tokens = prompt.context.size() + prompt.question.size();
  out.complete = !stopped(callbacks) && present(host, memory, prompt, protocol, [&](std::size_t tokens) {
    if (callbacks.reading) callbacks.reading(tokens, out.prompt_tokens);
    return tokens == out.prompt_tokens || !stopped(callbacks);
  });
  out.prefill_seconds = seconds_since(start);
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
  out.peak_rss_bytes = eval::peak_resident_bytes();
  if (host.measures_usage()) {
    out.usage = host.usage();
    out.kept = host.content();
  }
  return out;
}

}  // namespace namm::cli
