// The whole policy over three updates with carried state: statistics, features, scores, selection.
#include <algorithm>

#include "core/policies/network_policy.hpp"
#include "golden.hpp"
#include "namm/cache_policy.hpp"
#include "namm/policy.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

/// Mean over the query heads of KV head `kv_head`: [q][token].
std::vector<float> group_mean(const golden::Array& attention, std::size_t kv_head, std::size_t group) {
  const std::size_t size = attention.slice(0).size();
  std::vector<float> out(size, 0.0f);
  for (std::size_t g = 0; g < group; ++g) {
    const std::span<const float> one = attention.slice(kv_head * group + g);
    for (std::size_t i = 0; i < size; ++i) out[i] += one[i] / static_cast<float>(group);
  }
  return out;
}

}  // namespace

TEST_CASE("The pipeline keeps what the reference keeps", "[golden]") {
  const nlohmann::json file = golden::load("pipeline.json");
  const bool in_passes = GENERATE(false, true);
  const std::size_t layers = file.at("L"), kv_heads = file.at("KV"), group = file.at("G");
  const int queries = file.at("Q");

  NetworkPolicy policy("namm", feature_set("paper"), bam_network());
  policy.set_parameters(golden::array(file.at("params")).data);
  policy.set_normalisation({golden::array(file.at("mean")).data, golden::array(file.at("var")).data});
  std::vector<HeadStatistics> statistics(layers * kv_heads, HeadStatistics(samples::needing(policy.required())));

  double worst_features = 0, worst_scores = 0;
  for (const nlohmann::json& update : file.at("updates")) {
    const std::int64_t seen = update.at("n_tokens_total");
    const std::vector<int> passes = in_passes ? update.at("sub_chunks").get<std::vector<int>>() : std::vector<int>{queries};
    std::vector<HeadTokens> views;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const nlohmann::json& item = update.at("layers").at(layer);
      const golden::Array positions = golden::array(item.at("positions")), attention = golden::array(item.at("attn"));
      const std::size_t tokens = attention.shape[2], old = item.at("n_old");
      for (std::size_t head = 0; head < kv_heads; ++head) {
        HeadStatistics& state = statistics[layer * kv_heads + head];
        const std::vector<std::int32_t> all = golden::integers(positions.slice(head));
        const std::vector<float> rows = group_mean(attention, head, group);
        std::size_t present = old, row = 0;
        for (const int pass : passes) {  // tokens arrive with their pass: rows before end at the tokens there were
          const std::size_t count = static_cast<std::size_t>(pass);
          state.append(std::span(all).subspan(present, count), {}, {});
          present += count;
          state.observe(std::span(rows).subspan(row * tokens), pass, tokens, all[old + row]);
          row += count;
        }
        REQUIRE(state.size() == tokens);
        HeadTokens view = state.view();
        view.layer = static_cast<int>(layer);
        view.kv_head = static_cast<int>(head);
        view.tokens_seen = seen;
        views.push_back(view);
        std::vector<float> features(tokens * 25), scores(tokens);
        policy.features().compute(view, policy.normalisation(), features);
        policy.score(view, scores);
        worst_features =
            std::max(worst_features, golden::largest_error(features, golden::array(item.at("features")).slice(head)));
        worst_scores = std::max(worst_scores, golden::largest_error(scores, golden::array(item.at("scores")).slice(head)));
        const auto raw = std::count_if(scores.begin(), scores.end() - 1, [](float score) { return score >= 0; }) + 1;
        CHECK(raw == static_cast<std::ptrdiff_t>(golden::array(item.at("raw_counts")).data[head]));
      }
    }
    const Selection selection = plan_update(policy, samples::selecting(SelectionMode::reference), views, -1);
    for (std::size_t i = 0; i < statistics.size(); ++i) {
      statistics[i].keep(selection.kept[i]);
      const std::span<const std::int32_t> kept = statistics[i].view().positions;
      const nlohmann::json& item = update.at("layers").at(i / kv_heads);
      CHECK(std::vector<std::int32_t>(kept.begin(), kept.end()) ==
            golden::integers(golden::array(item.at("kept_positions")).slice(i % kv_heads)));
    }
  }
  golden::report("pipeline: features max error ", worst_features, ", scores ", worst_scores);
  CHECK(worst_features <= 2e-5);
  CHECK(worst_scores <= 1e-4);
}
