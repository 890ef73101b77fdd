#include <algorithm>
#include <unordered_set>

#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

constexpr std::size_t kVariables = 5;  ///< four hops, one chain: RULER's default

std::string question_for(const std::string& value) {
  return "Question: Find all variables that are assigned the value " + value + " in the text above.";
}
std::string answer_start_for(const std::string& value) {
  return " Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value " +
         value + ", they are:";
}
std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}
/// VAR A = 12345, VAR B = VAR A, ...
std::vector<std::string> chain_of(const std::vector<std::string>& names, const std::string& value) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < names.size(); ++i)
    lines.push_back("VAR " + names[i] + " = " + (i == 0 ? value : "VAR " + names[i - 1]));
  return lines;
}

/// Variable tracking (RULER, arXiv 2404.06654, "vt"): one chain of four hops, VAR A = 12345, VAR B = VAR A, ..., its lines
/// scattered in this order over repeated sentences; all five names are asked for. As there, an example with its answer comes
/// first; ours has three-letter names and no filler, so that it stays short. The names are separated by commas (RULER: spaces).
/// Score: `contains-all`.
class VariableTracking final : public RetrievalTask {
 public:
  explicit VariableTracking(std::shared_ptr<const Haystack> haystack) : RetrievalTask(std::move(haystack), repeated_haystack()) {}
  std::string_view name() const override { return "vt"; }
  int max_answer_tokens() const override { return 40; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    sample.metric = "contains-all";
    Rng rng = needle_rng(request);
    std::unordered_set<std::string> used;
    const auto draw_names = [&](std::size_t letters) {
      std::vector<std::string> names;
      while (names.size() < kVariables) {
        std::string name = draw_letters(rng, request.split, letters, 'A');
        if (used.insert(name).second) names.push_back(std::move(name));
      }
      return names;
    };
    const std::vector<std::string> names = draw_names(5), example_names = draw_names(3);
    const std::string value = draw_number(rng, request.split, 5);
    std::string example_value = draw_number(rng, request.split, 5);
    while (example_value == value) example_value = draw_number(rng, request.split, 5);

    const std::string task_text = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n";
    std::string opening = task_text;
    for (const std::string& line : chain_of(example_names, example_value)) opening += "\n" + line;
    opening +=
        "\n" + question_for(example_value) + answer_start_for(example_value) + " " + joined(example_names) + "\n\n" + task_text;
    std::vector<Needle> needles{{opening, 0.0, 0, true}};
    std::vector<double> depths(kVariables);
    for (double& depth : depths) depth = rng.fraction();
    std::sort(depths.begin(), depths.end());
    const std::vector<std::string> chain = chain_of(names, value);
    for (std::size_t i = 0; i < kVariables; ++i) needles.push_back({chain[i], depths[i], 0, true});

    const auto source = filler(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      if (contains_number(sentence, value) || sentence.find("VAR ") != std::string_view::npos) return true;
      return std::any_of(names.begin(), names.end(),
                         [&](const std::string& n) { return sentence.find(n) != std::string_view::npos; });
    });
    for (const std::string& line : chain) sample.evidence.push_back(extent_of(needles, line));
    sample.needle_offset = sample.evidence.front().offset;
    sample.question = "\n" + question_for(value);
    sample.answer_prefix = answer_start_for(value);
    sample.answers = {joined(names)};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_vt(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<VariableTracking>(std::move(haystack));
}

}  // namespace namm::tasks
