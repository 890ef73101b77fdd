#include "eval/evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>
#include <string_view>

#include "eval/intervals.hpp"
#include "host/log_softmax.hpp"
#include "host/protocol.hpp"
#include "tasks/scores.hpp"

namespace namm::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double kl_divergence(std::span<const float> full, std::span<const float> pruned) {
  double sum = 0;
  for (std::size_t i = 0; i < full.size(); ++i)
    sum += std::exp(static_cast<double>(full[i])) * (static_cast<double>(full[i]) - pruned[i]);
  return std::max(0.0, sum);
}

/// A score that looks at the beginning of the answer alone is known, and 0, once no accepted answer begins like that any more.
bool decided_by_beginning(const tasks::Sample& sample, std::string_view begun) {
  const bool beginning = sample.metric.empty() || sample.metric == "prefix" || sample.metric == "exact";
  return beginning && !tasks::may_become(sample.answers, begun);
}

}  // namespace

Measurement measure_prompt(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol,
                           const Measurement* full, bool watched) {
  Measurement out;
  auto start = Clock::now();
  present(host, memory, prompt, protocol, [&](std::size_t) {
    if (watched) out.timeline.push_back(host.usage());
    return true;
  });
  out.prefill_seconds = seconds_since(start);
  out.prefill_tokens = prompt.context.size() + prompt.question.size();
  out.usage = host.usage();
  if (watched) out.content = host.content();
  const std::vector<float> before_answer(host.logits().begin(), host.logits().end());

  std::vector<Token> greedy;
  bool greedy_is_gold = true;
  std::vector<double> kl;
  for (std::size_t i = 0; i < prompt.answer.size(); ++i) {
    std::vector<float> logp = log_softmax(host.logits());
    out.log_likelihood += logp[static_cast<std::size_t>(prompt.answer[i])] / static_cast<double>(prompt.answer.size());
    if (greedy_is_gold) {
      greedy.push_back(static_cast<Token>(std::max_element(logp.begin(), logp.end()) - logp.begin()));
      greedy_is_gold = greedy.back() == prompt.answer[i];
    }
    if (full)
      kl.push_back(kl_divergence(full->log_probabilities[i], logp));
    else
      out.log_probabilities.push_back(std::move(logp));
    start = Clock::now();  // not the comparison, which the full cache has none of
    host.evaluate({&prompt.answer[i], 1});
    out.decode_seconds += seconds_since(start);
    ++out.decode_tokens;
  }
  out.kl = full ? mean(kl) : 0;
  std::string text = host.detokenize(greedy);
  const int more = prompt.task->max_answer_tokens() - static_cast<int>(greedy.size());
  if (greedy_is_gold && more > 0) {
    start = Clock::now();
    const Generation rest = host.generate(more, true);
    out.decode_seconds += seconds_since(start);
    text += rest.text;
    out.decode_tokens += rest.tokens.size();
  }
  if (!greedy_is_gold && !decided_by_beginning(prompt.sample, text)) {
    const int most = prompt.task->max_answer_tokens();
    if (!host.rewind(out.prefill_tokens, before_answer, static_cast<std::size_t>(most))) present(host, memory, prompt, protocol);
    text = host.generate(most, true).text;
  }
  out.score = prompt.task->score(prompt.sample, text);
  out.exact = tasks::score_prefix(prompt.sample.answers, text) == 1;
  return out;
}

std::optional<std::vector<Measurement>> measure_prompts(HostPool& pool, const MemoryOfPrompt& memory_of,
                                                        std::span<const Prompt> prompts, const ProtocolSettings& protocol,
                                                        std::span<const Measurement> full, std::size_t watched,
                                                        const std::atomic<bool>* stop, const Progress& progress) {
  std::vector<Measurement> out(prompts.size());
  const bool finished = pool.run(
      prompts.size(),
      [&](std::size_t i, Host& host) {
        out[i] = measure_prompt(host, memory_of(host, prompts[i]), prompts[i], protocol, full.empty() ? nullptr : &full[i],
                                i < watched);
      },
      stop, progress);
  if (!finished) return std::nullopt;
  return out;
}

double seconds_per_token(Host& host, std::size_t longest) {
  const std::size_t count = std::clamp<std::size_t>(longest, 1, 64);
  const std::vector<Token> some(count, host.tokenize("the", false).front());
  host.reset({});
  host.evaluate(some);  // the first time finds weights that are not in memory yet
  host.reset({});
  const auto start = Clock::now();
  host.evaluate(some);
  const double seconds = seconds_since(start);
  host.reset({});
  return seconds / static_cast<double>(count);
}

std::int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  return 0;
}

void reset_peak_resident() {
  std::ofstream("/proc/self/clear_refs") << "5";  // refused without the right to: then the peak is that of the process
}

}  // namespace namm::eval
