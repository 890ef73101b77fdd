// Where requests begin and end, seen from what a program evaluates and samples from.
#include <nlohmann/json.hpp>

#include "tests/preload/attached.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::vector<json> requests_of(const Words& actions) {
  const Folder folder;
  Words options = kEvicting;
  options.insert(options.end(), {"--stats", folder / "stats.jsonl"});
  const Outcome outcome = attached(model_file(), actions, options);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  return parse_lines(read(folder / "stats.jsonl"));
}

}  // namespace

TEST_CASE("the last token of a prompt is of the prompt, also alone in its batch", "[preload][requests]") {
  const auto records = requests_of({"unified:2", "eval:0:33:1", "step:0:5:2", "clear"});  // in chunks of 32
  REQUIRE(records.size() == 1);
  CHECK(records[0]["prompt_tokens"] == 33);
  CHECK(records[0]["generated_tokens"] == 5);
}

TEST_CASE("the token that was sampled last counts, as it does for llama-server, though it is never evaluated",
          "[preload][requests]") {
  const auto one = requests_of({"unified:2", "eval:0:40:1", "logits", "clear"});
  REQUIRE(one.size() == 1);
  CHECK(one[0]["prompt_tokens"] == 40);
  CHECK(one[0]["generated_tokens"] == 1);
  const auto six = requests_of({"unified:2", "eval:0:40:1", "step:0:5:2", "logits", "eval:0:20:3", "step:0:1:4"});
  REQUIRE(six.size() == 2);
  CHECK(six[0]["generated_tokens"] == 6);
  CHECK(six[0]["tokens_seen"] == 45);
  CHECK(six[1]["prompt_tokens"] == 20);
}

TEST_CASE("a request that pauses stays one, and its last report counts", "[preload][requests]") {
  const auto records = requests_of(
      {"unified:2", "eval:0:40:1", "pause:3800", "step:0:2:2", "pause:4200", "step:0:3:3", "eval:0:20:4", "step:0:1:5"});
  REQUIRE(records.size() == 3);
  CHECK(records[0]["request"] == 1);
  CHECK(records[0]["generated_tokens"] == 2);
  CHECK(records[1]["request"] == 1);
  CHECK(records[1]["prompt_tokens"] == 40);
  CHECK(records[1]["generated_tokens"] == 5);
  CHECK(records[2]["request"] == 2);
  CHECK(records[2]["prompt_tokens"] == 20);
}

TEST_CASE("answers that grow side by side are a request", "[preload][requests]") {
  const auto records = requests_of({"unified:3", "eval:0:40:1", "copy:0:1", "copy:0:2", "branch:0,1,2:6:2", "clear"});
  REQUIRE(records.size() == 1);
  CHECK(records[0]["prompt_tokens"] == 40);
  CHECK(records[0]["generated_tokens"] == 3 * 6);
}

TEST_CASE("a request that keeps more than its budget says since when", "[preload][requests]") {
  const Outcome outcome = attached(model_file(), {"eval:0:100:1", "step:0:3:2"}, kEvicting);
  CHECK_THAT(outcome.err, Contains("the budget of 25% held at the update after 64 tokens, the 39 since are all there"));
}
