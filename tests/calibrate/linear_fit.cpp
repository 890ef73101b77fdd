// The least-squares start, on a trace whose answers pay an attention that is linear in two features.
#include "calibrate/linear_fit.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/trace/made_up.hpp"
#include "trace/writer.hpp"

using namespace namm;

namespace {

constexpr int kSinks = 4;

/// What a head's tokens look like at the end; views of the record and of `queries_seen`.
HeadTokens tokens_of(const trace::LayerRecord& layer, std::size_t head, std::vector<std::int32_t>& positions,
                     std::vector<float>& queries_seen) {
  const std::size_t tokens = layer.layout().tokens();
  positions.resize(tokens);
  std::iota(positions.begin(), positions.end(), 0);
  queries_seen.clear();
  for (const std::int32_t position : positions)
    queries_seen.push_back(static_cast<float>(static_cast<std::int32_t>(tokens) - position));
  HeadTokens out;
  out.layer = layer.layer().shape.layer;
  out.kv_head = layer.layer().heads[head];
  out.tokens_seen = static_cast<std::int64_t>(tokens);
  out.positions = positions;
  out.queries_seen = queries_seen;
  out.accumulated = layer.statistics(head, layer.layout().updates().size() - 1).accumulated;
  out.key_norm = layer.token_values(head, trace::Layout::key_norm);
  out.value_norm = layer.token_values(head, trace::Layout::value_norm);
  return out;
}

/// ln(attention of the answer): of the token's age and its mean attention, as the features count them.
float wanted(const HeadTokens& tokens, std::size_t token) {
  const float age = static_cast<float>(tokens.positions.back() - tokens.positions[token]);
  return 1.0f + 0.3f * std::log1p(age) + 0.1f * std::log(1e-6f + tokens.accumulated[token] / tokens.queries_seen[token]);
}

void set_answers(const trace::PromptRecord& prompt) {
  std::vector<std::int32_t> positions;
  std::vector<float> queries_seen;
  for (const trace::LayerRecord& layer : prompt.layers)
    for (std::size_t head = 0; head < layer.layer().heads.size(); ++head) {
      const HeadTokens tokens = tokens_of(layer, head, positions, queries_seen);
      auto* const answer = const_cast<float*>(layer.token_values(head, trace::Layout::answer).data());
      for (std::size_t i = 0; i < tokens.size(); ++i) answer[i] = i < kSinks ? 1e6f : std::exp(wanted(tokens, i)) - 1e-3f;
    }
}

}  // namespace

TEST_CASE("least squares on a trace: a linear relation is found; validation prompts and sinks do not count", "[calibrate]") {
  const made_up::File file;
  const trace::Settings settings = made_up::settings();
  {
    trace::Writer writer(file.path(), settings);
    for (unsigned i = 0; i < 6; ++i) {
      const trace::PromptRecord prompt = made_up::record(settings, 60 + i, i);
      if (prompt.facts.split == "train") set_answers(prompt);  // the others have nothing to do with their features
      writer.append(prompt);
    }
  }
  const trace::Reader read(file.path());
  const auto start = make_policy("linear", {{"features", "light"}});
  const auto& linear = dynamic_cast<const NetworkPolicy&>(*start);
  const auto fitted = calibrate::fit_linear(linear, read, settings.spectrogram, kSinks);
  const trace::PromptRecord& prompt = read.prompts()[2];
  std::vector<std::int32_t> positions;
  std::vector<float> queries_seen;
  for (std::size_t head = 0; head < 2; ++head) {
    const HeadTokens tokens = tokens_of(prompt.layers[1], head, positions, queries_seen);
    std::vector<float> scores(tokens.size());
    fitted->score(tokens, scores);
    for (std::size_t i = kSinks; i < tokens.size(); ++i) CHECK(scores[i] == Approx(wanted(tokens, i)).margin(2e-3));
  }
  CHECK(linear.parameters() == std::vector<float>(linear.parameter_count()));

  // what a calibrated policy says already is not fitted again: offsets of 2 take 2 from the constant
  const auto fitted_on = [&](float offset) {
    std::vector<ProbeLayer> layers;
    for (const trace::LayerRecord& layer : prompt.layers) {
      const LayerDescription& shape = layer.layer().shape;
      const auto heads = static_cast<std::size_t>(shape.kv_heads), size = static_cast<std::size_t>(shape.key_size);
      layers.push_back({shape.layer, shape.kv_heads, size, static_cast<std::size_t>(shape.value_size),
                        std::vector<float>(heads * (size + 1), 0.1f)});
    }
    KeyProbePolicy calibrated(std::make_shared<TokenProbe>(ProbeInput::key, layers), 1);
    calibrated.set_parameters(std::vector<float>(calibrated.parameter_count(), offset));
    nlohmann::json of = calibrated.to_json();
    of["features"] = "probe";
    const auto on_probe = make_policy("linear", of);
    return calibrate::fit_linear(dynamic_cast<const NetworkPolicy&>(*on_probe), read, settings.spectrogram, kSinks)->parameters();
  };
  const std::vector<float> without = fitted_on(0), with = fitted_on(2);
  for (std::size_t i = 0; i + 1 < with.size(); ++i) CHECK(with[i] == Approx(without[i]).margin(1e-3));
  CHECK(with.back() == Approx(without.back() - 2).margin(1e-3));

  // networks contain the linear policy; one without a constant leaves it out
  for (const auto& [name, fields, constant] :
       {std::tuple{"namm", nlohmann::json{{"features", "light"}}, 0.0f},
        std::tuple{"namm-mlp", nlohmann::json{{"features", "light"}, {"depth", 2}, {"bias", true}}, 0.0f},
        std::tuple{"namm-mlp", nlohmann::json{{"features", "light"}, {"depth", 2}, {"bias", false}},
                   fitted->parameters().back()}}) {
    CAPTURE(name);
    const auto network = make_policy(name, fields);
    const auto begun = calibrate::fit_linear(dynamic_cast<const NetworkPolicy&>(*network), read, settings.spectrogram, kSinks);
    CHECK(begun->name() == name);
    const HeadTokens tokens = tokens_of(prompt.layers[1], 0, positions, queries_seen);
    std::vector<float> scores(tokens.size()), linear_scores(tokens.size());
    begun->score(tokens, scores);
    fitted->score(tokens, linear_scores);
    for (std::size_t i = 0; i < tokens.size(); ++i) CHECK(scores[i] == Approx(linear_scores[i] - constant).margin(1e-4));
  }
}
