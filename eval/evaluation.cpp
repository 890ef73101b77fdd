#include "eval/evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "eval/intervals.hpp"
#include "host/protocol.hpp"
#include "tasks/scores.hpp"

namespace namm::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<float> log_softmax(std::span<const float> logits) {
  const float maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - maximum);
  const double shift = maximum + std::log(sum);
  std::vector<float> out(logits.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(logits[i] - shift);
  return out;
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

  start = Clock::now();
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
    host.evaluate({&prompt.answer[i], 1});
    ++out.decode_tokens;
  }
  out.kl = full ? mean(kl) : 0;
  std::string text = host.detokenize(greedy);
  const int more = prompt.task->max_answer_tokens() - static_cast<int>(greedy.size());
  if (greedy_is_gold && more > 0) {
    const Generation rest = host.generate(more, true);
    text += rest.text;
    out.decode_tokens += rest.tokens.size();
  }
  out.decode_seconds = seconds_since(start);
  if (!greedy_is_gold && !decided_by_beginning(prompt.sample, text)) {
    present(host, memory, prompt, protocol);
    text = host.generate(prompt.task->max_answer_tokens(), true).text;
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

void summarise(std::span<const Measurement> measured, std::span<const Measurement> full, ResultRecord& record) {
  const auto column = [](std::span<const Measurement> rows, auto value) {
    std::vector<double> values;
    for (const Measurement& m : rows) values.push_back(static_cast<double>(value(m)));
    return values;
  };
  const auto average = [&](auto value) { return mean(column(measured, value)); };
  const auto score = [](const Measurement& m) { return m.score; };
  const auto likelihood = [](const Measurement& m) { return m.log_likelihood; };
  record.samples = static_cast<std::int64_t>(measured.size());
  const std::vector<double> scores = column(measured, score);
  record.quality = mean(scores);
  const Interval quality = bootstrap_ci95(scores);
  record.quality_ci95[0] = quality.low;
  record.quality_ci95[1] = quality.high;
  const double full_quality = mean(column(full, score));
  record.quality_relative = full_quality > 0 ? record.quality / full_quality : std::numeric_limits<double>::quiet_NaN();
  const Interval relative = bootstrap_ratio_ci95(scores, column(full, score));
  record.quality_relative_ci95[0] = relative.low;
  record.quality_relative_ci95[1] = relative.high;
  record.exact = average([](const Measurement& m) { return m.exact ? 1 : 0; });
  record.answer_log_likelihood = average(likelihood);
  std::vector<double> delta = column(measured, likelihood);
  const std::vector<double> base = column(full, likelihood);
  for (std::size_t i = 0; i < delta.size(); ++i) delta[i] -= base[i];
  record.answer_log_likelihood_delta = mean(delta);
  const Interval interval = bootstrap_ci95(delta);
  record.answer_log_likelihood_delta_ci95[0] = interval.low;
  record.answer_log_likelihood_delta_ci95[1] = interval.high;
  record.fidelity_kl = average([](const Measurement& m) { return m.kl; });
  record.logical_saving = average([](const Measurement& m) { return m.usage.logical_saving(); });
  record.physical_saving = average([](const Measurement& m) { return m.usage.physical_saving(); });
  record.kv_bytes_peak = average([](const Measurement& m) { return m.usage.kv_bytes_peak; });
  record.kv_bytes_final = average([](const Measurement& m) { return m.usage.kv_bytes; });
  record.kv_bytes_full = average([](const Measurement& m) { return m.usage.kv_bytes_full; });
  record.statistics_bytes_peak = average([](const Measurement& m) { return m.usage.statistics_bytes_peak; });
  record.entries_final = average([](const Measurement& m) { return m.usage.entries; });
  record.entries_full = average([](const Measurement& m) { return m.usage.entries_full; });
  record.cells_final = average([](const Measurement& m) { return m.usage.cells; });
  record.cells_peak = average([](const Measurement& m) { return m.usage.cells_peak; });
  record.cells_allocated = average([](const Measurement& m) { return m.usage.cells_allocated; });
  double prefill = 0, decode = 0, prefill_seconds = 0, decode_seconds = 0;
  for (const Measurement& m : measured) {
    prefill += static_cast<double>(m.prefill_tokens);
    decode += static_cast<double>(m.decode_tokens);
    prefill_seconds += m.prefill_seconds;
    decode_seconds += m.decode_seconds;
  }
  record.prefill_tokens_per_second = prefill / prefill_seconds;
  record.decode_tokens_per_second = decode / decode_seconds;
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
