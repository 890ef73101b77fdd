#include "calibrate/hindsight.hpp"

#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "tests/calibrate/scripted_host.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("hindsight: the oracle scores tokens by what question and answer pay them", "[calibrate][hindsight]") {
  scripted::Host host;
  Prompt prompt;
  prompt.context = host.tokenize("forty characters, which are the context.", false);
  prompt.question = host.tokenize("why?", false);
  prompt.answer = host.tokenize("so.", false);
  REQUIRE(prompt.context.size() == 40);
  const auto oracle = calibrate::make_hindsight("oracle");
  REQUIRE(oracle);
  const auto policy = oracle->look(host, prompt, {});
  CHECK(policy->name() == oracle->name());  // results are told apart by it
  CHECK(policy->to_json() == nlohmann::json::object());
  const std::array<std::int32_t, 4> positions = {0, 29, 30, 40};
  HeadTokens tokens;
  tokens.layer = 1;
  tokens.positions = positions;
  std::array<float, 4> scores{};
  policy->score(tokens, scores);
  for (const std::size_t i : {0, 1}) {
    const Token token = prompt.context[static_cast<std::size_t>(positions[i])];
    CHECK(scores[i] == Approx(scripted::log_attention(1, 0, scripted::key_of(1, 0, token))).epsilon(1e-4));
  }
  CHECK(scores[2] == Approx(std::log(1e-6f)));  // 16 before the last query: too near to say anything
  CHECK(scores[3] > 1e29f);                     // behind the context
}

TEST_CASE("hindsight: names", "[calibrate][hindsight]") {
  for (const char* const name : {"oracle", "kvzip", "kvzip-mean", "expected-attention"})
    CHECK(calibrate::make_hindsight(name)->name() == name);
  CHECK(calibrate::make_hindsight("h2o") == nullptr);
}
