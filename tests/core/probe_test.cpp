#include <nlohmann/json.hpp>

#include "core/policies/key_probe.hpp"
#include "core/policies/network_policy.hpp"
#include "core/probe/token_probe.hpp"
#include "namm/policy.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;
using nlohmann::json;

namespace {

std::vector<float> drawn(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

/// Tokens of layer 5 with 3 KV heads, keys of 4 and values of 6.
struct Content {
  std::vector<std::int32_t> positions;
  std::vector<float> keys, values;
  explicit Content(std::size_t count)
      : positions(samples::range(0, count)), keys(drawn(count * 12, 1)), values(drawn(count * 18, 2)) {}
  LayerTokens view() const { return {5, 3, 4, 6, positions, keys.data(), values.data()}; }
};

}  // namespace

TEST_CASE("A probe is one dot product per token and head, plus a constant") {
  const ProbeInput input = GENERATE(ProbeInput::key, ProbeInput::layer);
  const std::size_t inputs = input == ProbeInput::key ? 4 : 30;
  const std::vector<float> weights = drawn(3 * (inputs + 1), 3);
  const TokenProbe probe(input, {{5, 3, 4, 6, weights}});
  for (const std::size_t count : {0u, 1u, 7u, 8u, 9u, 100u}) {
    const Content content(count);
    std::vector<float> out(3 * count, NAN);
    probe.read(content.view(), out);
    for (std::size_t h = 0; h < 3; ++h)
      for (std::size_t i = 0; i < count; ++i) {
        const float* const w = weights.data() + h * (inputs + 1);
        double wanted = w[inputs];
        if (input == ProbeInput::key) {
          for (std::size_t d = 0; d < 4; ++d) wanted += double{w[d]} * content.keys[i * 12 + h * 4 + d];
        } else {
          for (std::size_t d = 0; d < 12; ++d) wanted += double{w[d]} * content.keys[i * 12 + d];
          for (std::size_t d = 0; d < 18; ++d) wanted += double{w[12 + d]} * content.values[i * 18 + d];
        }
        CHECK(out[h * count + i] == Approx(wanted).margin(1e-5));
      }
  }
}

TEST_CASE("A probe with squares adds theirs, bounded") {
  const ProbeInput input = GENERATE(ProbeInput::key, ProbeInput::layer);
  const std::size_t inputs = input == ProbeInput::key ? 4 : 30, width = input == ProbeInput::key ? 12 : 30;
  ProbeLayer layer{5, 3, 4, 6, drawn(3 * (inputs + 1), 3)};
  layer.scale = {drawn(width, 5), drawn(width, 6)};
  layer.scale.scale[1] = 30;  // beyond the bound for nearly all tokens
  layer.square_weights = drawn(3 * inputs, 7);
  const TokenProbe linear(input, {{5, 3, 4, 6, layer.weights}}), probe(input, {layer});
  for (const std::size_t count : {0u, 1u, 15u, 16u, 17u, 100u}) {
    const Content content(count);
    std::vector<float> out(3 * count, NAN), without(3 * count, NAN);
    probe.read(content.view(), out);
    linear.read(content.view(), without);
    for (std::size_t h = 0; h < 3; ++h)
      for (std::size_t i = 0; i < count; ++i) {
        double wanted = without[h * count + i];
        for (std::size_t d = 0; d < inputs; ++d) {
          const std::size_t column = input == ProbeInput::key ? h * 4 + d : d;
          const double x = column < 12 ? content.keys[i * 12 + column] : content.values[i * 18 + column - 12];
          const double z = (x - layer.scale.centre[column]) * layer.scale.scale[column];
          wanted += layer.square_weights[h * inputs + d] * std::min(z * z, 25.0);
        }
        CHECK(out[h * count + i] == Approx(wanted).margin(1e-4));
      }
  }
  CHECK(TokenProbe::from_json(probe.to_json(), "")->to_json() == probe.to_json());
  layer.square_weights.pop_back();
  CHECK_THROWS_WITH(TokenProbe(input, {layer}), Contains("must have squares of"));
}

TEST_CASE("Squares are of standardised numbers, and of nothing where a number does not vary") {
  const std::vector<float> rows = {1, 7, 3, 7, 5, 7};  // [3][2]
  const SquareScale scale = scale_of(rows, 2);
  CHECK(scale.centre == std::vector<float>{3, 7});
  CHECK(scale.scale[0] == Approx(1 / std::sqrt(8.0 / 3.0)));
  CHECK(scale.scale[1] == 0);
  std::vector<float> out(6);
  squares_of(scale, rows.data(), 3, 2, 0, 2, out.data());
  CHECK(out[0] == Approx(1.5));
  CHECK(out[2] == 0);
  CHECK(out[5] == 0);
  const float far = 1000;
  squares_of(scale, &far, 1, 1, 0, 1, out.data());
  CHECK(out[0] == 25);
  CHECK(scale_of({}, 2).scale == std::vector<float>{0, 0});
}

TEST_CASE("A probe of another model is refused with what to do") {
  const TokenProbe probe(ProbeInput::key, {{5, 3, 4, 5, drawn(15, 1)}});
  const Content content(2);
  std::vector<float> out(6);
  CHECK_THROWS_WITH(
      probe.read(content.view(), out),
      "probe: must be fitted on the model it is used with; layer 5 of this model has 3 KV heads of 4 and 6, the probe "
      "knows 3 KV heads of 4 and 5; run 'namm calibrate' on this model");
  LayerTokens other = content.view();
  other.layer = 6;
  CHECK_THROWS_WITH(probe.read(other, out), Contains("the probe does not know that layer"));
  CHECK_THROWS_AS(TokenProbe(ProbeInput::layer, {{5, 3, 4, 5, drawn(15, 1)}}), std::invalid_argument);
}

TEST_CASE("Probes in files are checked") {
  const json good = samples::probe_settings();
  const auto probe = TokenProbe::from_json(good, "policy.probe.");
  CHECK(probe->to_json() == good);
  const auto message = [&](auto change) {
    json changed = good;
    change(changed);
    try {
      TokenProbe::from_json(changed, "policy.probe.");
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message([](json& p) { p["input"] = "value"; }) ==
        "field policy.probe.input must be key or layer, is \"value\"; correct it or write the file anew");
  CHECK_THAT(message([](json& p) { p["layers"] = json::array(); }),
             Catch::Matchers::StartsWith("field policy.probe.layers must be a list"));
  CHECK_THAT(message([](json& p) { p["layers"][0]["weights"].erase(0); }),
             Catch::Matchers::StartsWith("field policy.probe.layers[0].weights must be a list of 10 numbers"));
  CHECK_THAT(message([](json& p) { p["layers"][0]["kv_heads"] = -1; }), Contains("layers[0].kv_heads must be"));
  CHECK_THAT(message([](json& p) { p["layers"][0]["key_size"] = 1 << 30; }), Contains("layers[0].key_size must be"));
  CHECK_THAT(message([](json& p) { p["layers"][0]["weights"][3] = nullptr; }), Contains("weights[3] must be a finite number"));
  CHECK_THAT(message([](json& p) { p["layers"].push_back(p["layers"][0]); }), Contains("layers[1].layer must be"));
  CHECK_THAT(message([](json& p) { p["extra"] = 1; }), Contains("extra is unknown"));
  CHECK_THAT(message([](json& p) {
               p["layers"][0]["square_scale"] = {1, 1};
             }),
             Contains("layers[0].square_centre must be a list of 8 numbers, is missing"));
  CHECK_THROWS_WITH(make_policy("key-probe"), Contains("'namm calibrate' writes a policy file"));
}

TEST_CASE("A key probe's parameters are offsets of its heads") {
  json settings = {{"probe", samples::probe_settings()}};
  settings["probe"]["layers"][0]["layer"] = 4;
  const auto policy = make_policy("key-probe", settings);
  REQUIRE(policy->parameter_count() == 2);
  CHECK(policy->to_json() == settings);  // zeros are not written, and absent ones are zeros: files of before mean what they did
  policy->set_parameters(std::vector<float>{0.5f, -2.0f});
  const std::vector<float> content = {1, 2, 3};
  HeadTokens tokens;
  const std::vector<std::int32_t> positions = samples::range(0, 3);
  tokens.positions = positions;
  tokens.content = content;
  tokens.layer = 4;
  std::vector<float> scores(3);
  policy->score(tokens, scores);
  CHECK(scores == std::vector<float>{1.5f, 2.5f, 3.5f});
  tokens.kv_head = 1;
  policy->score(tokens, scores);
  CHECK(scores == std::vector<float>{-1, 0, 1});
  CHECK(make_policy("key-probe", policy->to_json())->parameters() == policy->parameters());
  settings["offsets"] = {1};
  CHECK_THROWS_WITH(make_policy("key-probe", settings), Contains("policy.offsets must be a list of 2 numbers"));
  CHECK_THROWS_WITH(policy->set_parameters(std::vector<float>{NAN, 0}), Contains("must be finite"));
}

TEST_CASE("A key probe's recency takes from old tokens") {
  json settings = {{"probe", samples::probe_settings()}, {"recency", 1.5}, {"offsets", {0, -2}}};
  const auto policy = make_policy("key-probe", settings);
  const std::vector<float> content = {1, 2, 3};
  const std::vector<std::int32_t> positions = {0, 935, 999};
  HeadTokens tokens;
  tokens.positions = positions;
  tokens.content = content;
  tokens.kv_head = 1;
  std::vector<float> scores(3);
  policy->score(tokens, scores);
  CHECK(scores[0] == Approx(1 - 2 - 1.5 * std::log(1 + 999 / 64.0)));
  CHECK(scores[1] == Approx(2 - 2 - 1.5 * std::log(2.0)));  // 64 tokens older than the newest
  CHECK(scores[2] == 1);
  tokens.positions = {};
  tokens.content = {};
  policy->score(tokens, {});              // no tokens yet
  CHECK(policy->parameter_count() == 2);  // it is a setting
  CHECK(policy->to_json() == settings);
  for (const json& wrong : {json(-0.1), json(4.5), json("1"), json(nullptr)}) {
    settings["recency"] = wrong;
    CHECK_THROWS_WITH(make_policy("key-probe", settings), Contains("policy.recency must be a"));
  }
  const auto probe = TokenProbe::from_json(settings["probe"], "");
  CHECK_THROWS_WITH(KeyProbePolicy(probe, -0.1f), Contains("recency: must be from 0 to 4, is -0.1"));
  CHECK_THROWS_WITH(KeyProbePolicy(probe, NAN), Contains("recency: must be from 0 to 4"));
}

TEST_CASE("A key probe that knows how evenly heads attend orders their tokens anew and leaves them their worths") {
  json settings = {{"probe", samples::probe_settings()}, {"recency", 2.0}, {"evenness", {0.75, 0}}, {"offsets", {0, -2}}};
  const auto policy = make_policy("key-probe", settings);
  CHECK(policy->to_json() == settings);
  const std::vector<float> content = {3, 1, 4, 1.5f, 2};
  const std::vector<std::int32_t> positions = {0, 500, 936, 990, 1000};
  HeadTokens tokens;
  tokens.positions = positions;
  tokens.content = content;
  std::vector<float> scores(5);
  // by hand: 3 - 1.5 ln(1 + 1000/64) = -1.22, 1 - 3.26 = -2.26, 4 - 1.5 ln 2 = 2.96, 1.5 - 0.22 = 1.28, 2
  policy->score(tokens, scores);
  CHECK(scores == std::vector<float>{1.5f, 1, 4, 2, 3});
  tokens.kv_head = 1;  // not even: what it is worth
  policy->score(tokens, scores);
  CHECK(scores == std::vector<float>{1, -1, 2, -0.5f, 0});
  tokens.kv_head = 0;
  const std::vector<float> alike(5, 1.0f), broken = {NAN, 1, 2, 3, INFINITY};
  tokens.content = alike;
  policy->score(tokens, scores);  // told apart by their order, as near to each other as numbers can be
  for (std::size_t i = 0; i < scores.size(); ++i) CHECK(scores[i] == Approx(1).epsilon(1e-6));
  for (std::size_t i = 1; i < scores.size(); ++i) CHECK(scores[i] > scores[i - 1]);
  tokens.content = broken;
  policy->score(tokens, scores);
  CHECK(std::isnan(scores[0]));
  CHECK(scores[4] == INFINITY);
  for (const std::size_t count : {0u, 1u, 2u}) {  // the newest alone has no age
    tokens.positions = std::span(positions).first(count);
    tokens.content = std::span(content).first(count);
    std::vector<float> few(count);
    policy->score(tokens, few);
    CHECK(std::is_permutation(few.begin(), few.end(), content.begin(), content.begin() + static_cast<std::ptrdiff_t>(count)));
  }
  // old tokens whose scores a huge newest position makes equal: the newer one gets the larger worth
  const std::vector<std::int32_t> far = {0, 1, 1 << 30};
  const std::vector<float> nearly = {2, 1.9999999f, 0};
  tokens.positions = far;
  tokens.content = nearly;
  std::vector<float> tied(3);
  policy->score(tokens, tied);
  CHECK(tied == std::vector<float>{0, 1.9999999f, 2});
  // without recency nothing moves, and evenness is kept for when there is one again
  const auto without = with_recency(*policy, 0);
  tokens.positions = positions;
  tokens.content = content;
  without->score(tokens, scores);
  CHECK(scores == content);
  CHECK(with_recency(*without, 2)->to_json() == settings);

  for (const json& wrong : {json{0.5}, json{0.5, 1.01}, json{-0.1, 0}, json(0.5)}) {
    settings["evenness"] = wrong;
    CHECK_THROWS_WITH(make_policy("key-probe", settings), Contains("policy.evenness must be"));
  }
  const auto probe = TokenProbe::from_json(settings["probe"], "");
  CHECK_THROWS_WITH(KeyProbePolicy(probe, 1, {0.5f}), Contains("evenness: must be of 2 heads, each from 0 to 1"));
  CHECK_THROWS_WITH(KeyProbePolicy(probe, 1, {0.5f, NAN}), Contains("evenness: must be of 2 heads"));
}

TEST_CASE("A network on probe features begins as the calibrated policy") {
  const std::string features = GENERATE("probe", "light+probe", "paper+probe", "extended+probe");
  const std::string kind = GENERATE("linear", "namm", "namm-mlp");
  INFO(kind << " on " << features);
  const json calibrated = {
      {"probe", samples::probe_settings()}, {"offsets", {0.25, 1}}, {"recency", 0.5}, {"evenness", {0.25, 0.5}}};
  json settings = calibrated;
  settings["features"] = features;
  const std::size_t normalised = feature_set(features).normalised.size();
  settings["normalisation"] = {{"mean", std::vector<float>(normalised, -3)}, {"variance", std::vector<float>(normalised, 4)}};
  const auto policy = make_policy(kind, settings);  // how its features are normalised does not matter
  CHECK(policy->reader() != nullptr);
  CHECK(policy->required().has(Statistic::content));
  std::mt19937 random(4);
  HeadStatistics statistics(samples::needing(policy->required()));
  samples::feed(statistics, random, 0, 70);
  HeadTokens tokens = statistics.view();
  tokens.kv_head = 1;
  std::vector<float> scores(70), wanted(70);
  policy->score(tokens, scores);
  make_policy("key-probe", calibrated)->score(tokens, wanted);
  CHECK(scores == wanted);
  CHECK_FALSE(std::equal(scores.begin(), scores.end(), tokens.content.begin()));
  // and moves away from it as its weights do
  std::vector<float> weights(policy->parameter_count(), 0.05f);
  policy->set_parameters(weights);
  policy->score(tokens, scores);
  CHECK(scores != wanted);
  const auto back = make_policy(kind, policy->to_json());
  CHECK(back->to_json() == policy->to_json());
  CHECK(calibrated_of(*back)->to_json() == calibrated_of(*policy)->to_json());
  CHECK_THROWS_WITH(make_policy(kind, {{"features", "light"}, {"recency", 1}}),
                    Contains("policy.recency must be absent: features light have no probe"));
  CHECK_THROWS_WITH(make_policy(kind, {{"features", features}, {"recency", 1}}), Contains("policy.probe must be present"));
  json earlier = policy->to_json();
  earlier.erase("base");
  CHECK_THROWS_WITH(make_policy(kind, earlier),
                    Contains("policy.base must be \"calibrated\", is missing; the file is of an earlier version"));
  earlier["base"] = "probe";
  CHECK_THROWS_WITH(make_policy(kind, earlier), Contains("policy.base must be"));
}

TEST_CASE("Probe features are the probe, its neighbours and the age") {
  std::mt19937 random(4);
  HeadStatistics statistics(samples::needing(feature_set("probe").required));
  samples::feed(statistics, random, 0, 40);
  const HeadTokens tokens = statistics.view();
  std::vector<float> out(40 * 4);
  feature_set("probe").compute(tokens, {}, out);
  const auto mean = [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += tokens.content[i];
    return sum / static_cast<double>(end - begin);
  };
  CHECK(out[0] == Approx(std::log1p(39.0)));
  CHECK(out[20 * 4 + 1] == tokens.content[20]);
  CHECK(out[20 * 4 + 2] == Approx(mean(17, 24)));
  CHECK(out[20 * 4 + 3] == Approx(mean(13, 28)));
  CHECK(out[1 * 4 + 2] == Approx(mean(0, 5)));
  CHECK_THROWS_WITH(make_policy("linear", {{"features", "light"}, {"probe", samples::probe_settings()}}),
                    Contains("must be absent: features light have no probe"));
}
