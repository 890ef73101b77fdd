#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "tasks/infinitebench_scores.hpp"
#include "tasks/longbench_scores.hpp"
#include "tasks/rouge.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

using Strings = std::span<const std::string>;

struct Metric {
  std::string_view name;
  double (*score)(Strings answers, Strings choices, std::string_view generated);
};
template <double (*kScore)(Strings, std::string_view)>
double of_answers(Strings answers, Strings, std::string_view generated) {
  return kScore(answers, generated);
}
constexpr Metric kMetrics[] = {
    {"prefix", of_answers<score_prefix>},
    {"contains", of_answers<score_contains>},
    {"contains-all", of_answers<score_contains_all>},
    {"exact", of_answers<score_exact>},
    {"qa-f1", of_answers<score_qa_f1>},
    {"char-f1", of_answers<score_char_f1>},
    {"rouge-l", of_answers<score_rouge_l>},
    {"rouge-lsum", of_answers<score_rouge_lsum>},
    {"numbers", of_answers<score_numbers>},
    {"longbench-rouge", of_answers<score_longbench_rouge>},
    {"longbench-classification", score_longbench_classification},
    {"longbench-code", of_answers<score_longbench_code>},
    {"infinitebench-integer", of_answers<score_first_integer>},
    {"infinitebench-kv", of_answers<score_kv_retrieval>},
    {"infinitebench-code-run", of_answers<score_code_run>},
    {"infinitebench-code-debug", of_answers<score_code_debug>},
    {"infinitebench-choice", of_answers<score_choice>},
    {"infinitebench-dialogue", of_answers<score_dialogue>},
    {"infinitebench-math-find", of_answers<score_math_find>},
    {"infinitebench-math-calc", of_answers<score_math_calc>},
    {"code-similarity", of_answers<score_code_similarity>},
};
constexpr std::string_view kFirstLine = "first-line:";

const Metric* find_metric(std::string_view name) {
  for (const Metric& known : kMetrics)
    if (known.name == name) return &known;
  return nullptr;
}

}  // namespace

bool is_metric(std::string_view metric) {
  if (metric.starts_with(kFirstLine)) metric.remove_prefix(kFirstLine.size());
  return find_metric(metric) != nullptr;
}

std::string metric_names() {
  std::string names;
  for (const Metric& metric : kMetrics) {
    if (&metric != kMetrics) names += &metric + 1 == std::end(kMetrics) ? " or " : ", ";
    names += metric.name;
  }
  return names;
}

double score_by_metric(std::string_view metric, std::span<const std::string> answers, std::string_view generated,
                       std::span<const std::string> choices) {
  std::string_view name = metric;
  if (name.starts_with(kFirstLine)) {
    name.remove_prefix(kFirstLine.size());
    generated.remove_prefix(std::min(generated.find_first_not_of('\n'), generated.size()));
    generated = generated.substr(0, generated.find('\n'));
  }
  if (const Metric* known = find_metric(name)) return known->score(answers, choices, generated);
  throw std::invalid_argument("metric must be " + metric_names() + ", got '" + std::string(metric) + "'");
}

}  // namespace namm::tasks
