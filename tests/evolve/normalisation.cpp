#include "evolve/normalisation.hpp"

#include <nlohmann/json.hpp>

#include "evolve/prompt_plan.hpp"
#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

const std::vector<std::shared_ptr<const tasks::Task>> kTasks = {std::make_shared<fake::Task>()};

std::vector<Prompt> prompts_of(HostPool& pool) {
  PromptPlan plan;
  plan.lengths_tokens = {40, 70};
  return *make_prompts(pool, kTasks, plan.minibatch(0), 1, {});
}

}  // namespace

TEST_CASE("normalisation: the same for any number of workers", "[normalisation]") {
  for (const FeatureSet& features : feature_sets()) {
    CAPTURE(features.name);
    if (features.required.has(Statistic::content)) continue;  // the scripted host has no keys to read
    std::vector<Normalisation> results;
    for (int workers : {1, 2, 3}) {
      HostPool pool([] { return std::make_unique<fake::Host>(); }, workers);
      results.push_back(*gather_normalisation(pool, features, prompts_of(pool), {}, 16, {}));
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
    CHECK(results[0].mean.size() == features.normalised.size());
    CHECK(std::any_of(results[0].variance.begin(), results[0].variance.end(), [](float v) { return v > 0 && v != 1; }));
  }
}

TEST_CASE("normalisation: every token counts once per update it sees, and nothing is evicted", "[normalisation]") {
  fake::Host host;
  tasks::Sample sample;
  sample.context = "a b c d e f g h i j k l m n o p q r s";  // 20 tokens with the start
  const Prompt prompt = encode_prompt(host, sample, nullptr, {});
  const auto recorder = std::make_shared<FeatureRecorder>(feature_set("paper"), host.description());
  CachePolicy memory;
  memory.observer = recorder;
  memory.interval_tokens = 8;
  present(host, memory, prompt, {});
  CHECK(host.usage().entries == host.usage().entries_full);
  NormalisationAccumulator total(feature_set("paper").normalised.size());
  recorder->merge_into(total);
  CHECK(total.count() == (8 + 16 + 20) * fake::kLayers * fake::kHeads);
}

TEST_CASE("normalisation: a head that was not described is refused", "[normalisation]") {
  HostDescription description;
  description.cached = {{3, 1, 8, 8, 0}};
  FeatureRecorder recorder(feature_set("paper"), description);
  HeadTokens tokens;
  tokens.layer = 3;
  CHECK_NOTHROW(recorder.on_update(tokens));
  tokens.kv_head = 1;
  CHECK_THROWS_AS(recorder.on_update(tokens), std::invalid_argument);
}

TEST_CASE("normalisation: can be stopped", "[normalisation]") {
  HostPool pool([] { return std::make_unique<fake::Host>(); }, 2);
  const std::vector<Prompt> prompts = prompts_of(pool);
  const std::atomic<bool> stop = true;
  CHECK_FALSE(gather_normalisation(pool, feature_set("paper"), prompts, {}, 16, {}, nullptr, &stop));
}
