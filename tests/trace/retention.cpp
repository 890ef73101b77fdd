// How much of the answer's attention is kept, and prompts of a trace as tasks of a host.
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/trace/made_up.hpp"
#include "trace/retained.hpp"
#include "trace/trace_host.hpp"
#include "trace/trace_tasks.hpp"
#include "trace/writer.hpp"

using namespace made_up;

namespace {

std::shared_ptr<const Reader> written(const File& file, const Settings& settings) {
  {
    Writer writer(file.path(), settings);
    for (unsigned i = 0; i < 4; ++i) writer.append(record(settings, 40 + i, i));
  }
  return std::make_shared<const Reader>(file.path());
}

std::vector<std::vector<std::int32_t>> every_other(std::size_t heads, std::int32_t tokens) {
  std::vector<std::int32_t> kept;
  for (std::int32_t t = 0; t < tokens; t += 2) kept.push_back(t);
  return std::vector<std::vector<std::int32_t>>(heads, kept);
}

}  // namespace

TEST_CASE("retention: attention of the kept tokens by that of all, sinks left out", "[trace]") {
  const Settings settings = made_up::settings();
  const PromptRecord prompt = record(settings, 40, 1);
  const auto kept = every_other(4, 40);
  const std::vector<double> weights = {0.1, 0.2, 0.3, 0.4};
  double expected = 0;
  for (std::size_t h = 0; h < 4; ++h) {
    const auto attention = prompt.layers[h / 2].token_values(h % 2, Layout::answer);
    double all = 0, held = 0;
    for (std::size_t t = 3; t < 40; ++t) {
      all += static_cast<double>(attention[t]);
      if (t % 2 == 0) held += static_cast<double>(attention[t]);
    }
    expected += weights[h] * held / all;
  }
  CHECK(retained_attention(prompt, kept, weights, 3) == Approx(expected).epsilon(1e-12));
  CHECK(retained_attention(prompt, std::vector<std::vector<std::int32_t>>(4), weights, 3) == 0);
}

TEST_CASE("retention: heads weigh what they contribute to the answers of the training prompts", "[trace]") {
  const File file;
  const auto trace = written(file, made_up::settings());
  std::vector<double> expected(4);
  double sum = 0;
  for (const PromptRecord& prompt : trace->prompts()) {
    if (prompt.facts.split != "train") continue;
    for (std::size_t h = 0; h < 4; ++h)
      for (std::size_t t = 4; t < prompt.facts.compressed.size(); ++t) {
        const LayerRecord& layer = prompt.layers[h / 2];
        const double change = static_cast<double>(layer.token_values(h % 2, Layout::answer)[t]) *
                              static_cast<double>(layer.token_values(h % 2, Layout::value_norm)[t]);
        expected[h] += change * change;
        sum += change * change;
      }
  }
  const auto weights = head_weights(*trace, HeadWeights::contribution, 4);
  for (std::size_t h = 0; h < 4; ++h) CHECK(weights[h] == Approx(expected[h] / sum).epsilon(1e-12));
  CHECK(head_weights(*trace, HeadWeights::uniform, 4) == std::vector<double>(4, 0.25));
}

TEST_CASE("a trace host replays the prompts of its tasks, and has no model", "[trace]") {
  const File file;
  const auto trace = written(file, made_up::settings());
  TraceHost host(trace);
  const auto tasks = trace_tasks(*trace);
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0]->size(namm::tasks::Split::train) == 2);
  const namm::tasks::TokenCounter count = [&](std::string_view text) { return host.tokenize(text, false).size(); };
  const auto sample = tasks[0]->make({namm::tasks::Split::validation, 7, 3, 512}, count);  // the second of two
  CHECK(sample.id == "task/train/3");
  const auto tokens = host.tokenize(sample.context, true);
  CHECK(tokens == std::vector<Token>{3});
  CachePolicy memory;
  memory.policy = make_policy("h2o");
  memory.selection.budget = {Budget::Unit::tokens, 10};
  memory.selection.recent = 2;
  memory.interval_tokens = 16;
  host.reset(memory);
  host.evaluate(tokens);
  host.update();
  CHECK(host.prompt().facts.compressed.size() == 43);
  CHECK(host.usage().entries == 40);
  CHECK(host.usage().entries_full == 4 * 43);
  CHECK(host.content().size() == 4);
  CHECK_THROWS_WITH(host.log_likelihood(tokens), Contains("need a model"));
  CHECK_THROWS_WITH(host.tokenize("4", false), Contains("is '4'"));
  CHECK_THROWS_WITH(tasks[0]->make({namm::tasks::Split::test, 0, 0, 512}, count), Contains("must have test prompts"));
}
