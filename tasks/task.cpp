#include "tasks/task.hpp"

#include <stdexcept>

#include "tasks/scores.hpp"

namespace namm::tasks {

Split parse_split(std::string_view name) {
  for (const Split split : {Split::train, Split::validation, Split::test})
    if (name == to_string(split)) return split;
  throw std::invalid_argument("split must be train, validation or test, got '" + std::string(name) + "'");
}

std::string_view to_string(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::validation:
      return "validation";
    case Split::test:
      return "test";
  }
  throw std::invalid_argument("split must be train, validation or test, got number " + std::to_string(static_cast<int>(split)));
}

std::string prompt_text(const Sample& sample) {
  return sample.context + sample.question + sample.answer_prefix;
}

std::string continuation(const Sample& sample, std::string_view answer) {
  const std::string* last = &sample.answer_prefix;
  if (last->empty()) last = &sample.question;
  if (last->empty()) last = &sample.context;
  const bool space = !last->empty() && std::string_view(" \t\r\n").find(last->back()) == std::string_view::npos;
  std::string text(space ? 1 : 0, ' ');
  text += answer;
  return text;
}

double Task::score(const Sample& sample, std::string_view generated) const {
  if (!sample.metric.empty()) return score_by_metric(sample.metric, sample.answers, generated, sample.choices);
  return score_prefix(sample.answers, generated);
}

}  // namespace namm::tasks
