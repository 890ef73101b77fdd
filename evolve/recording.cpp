#include "evolve/recording.hpp"

#include <stdexcept>

#include "trace/recorder.hpp"

namespace namm::evolve {

trace::PromptFacts facts_of(const Prompt& prompt, bool question_after) {
  trace::PromptFacts out;
  out.id = prompt.sample.id;
  out.task = prompt.sample.task;
  out.compressed = prompt.context;
  std::vector<Token>& where = question_after ? out.tail : out.compressed;
  where.insert(where.end(), prompt.question.begin(), prompt.question.end());
  out.tail.insert(out.tail.end(), prompt.answer.begin(), prompt.answer.end());
  out.answer_tokens = prompt.answer.size();
  return out;
}

trace::PromptRecord record_prompt(Host& host, const trace::Settings& settings, const Prompt& prompt) {
  if (prompt.answer.empty())
    throw std::invalid_argument("trace: prompt '" + prompt.sample.id + "' must have an answer or an end to predict, has none");
  const auto recorder = std::make_shared<trace::Recorder>(settings, facts_of(prompt, settings.question_after));
  CachePolicy memory;
  memory.observer = recorder;
  memory.spectrogram = settings.spectrogram;
  memory.interval_tokens = settings.interval_tokens;
  ProtocolSettings protocol;
  protocol.question_after = settings.question_after;
  present(host, memory, prompt, protocol);
  host.evaluate(prompt.answer);
  host.reset({});
  return recorder->finish();
}

}  // namespace namm::evolve
