#include <map>
#include <numeric>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// The details of one prompt with this context.
std::vector<json> details_of(const std::string& host, const std::string& context, const std::vector<std::string>& more = {}) {
  const Folder folder;
  write(folder / "data.jsonl",
        json({{"context", context}, {"question", " What is it?"}, {"answers", {"seven"}}, {"id", "one"}}).dump() + "\n");
  std::vector<std::string> words = {"eval",
                                    "--model",
                                    host,
                                    "--data",
                                    folder / "data.jsonl",
                                    "--policy",
                                    "h2o",
                                    "--budget",
                                    "50%",
                                    "--interval",
                                    "16",
                                    "--samples",
                                    "1",
                                    "--quiet",
                                    "--json",
                                    folder / "r.jsonl",
                                    "--details",
                                    folder / "d.jsonl"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = run_program(words);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  return parse_lines(read(folder / "d.jsonl"));
}

}  // namespace

TEST_CASE("details: the pieces are the context, and the heads' counts add up") {
  NAMM_NEED_HOST(host);
  const std::string context =
      "Yesterday old Harriet sold 1906 books in the harbour, and nobody asked why. Then Harriet went home. It was caf\xC3\xA9 "
      "time.";
  const std::vector<json> lines = details_of(host, context);
  REQUIRE(lines.size() == 3);
  const json &prompt = lines[0], &full = lines[1], &h2o = lines[2];
  CHECK(prompt["record"] == "prompt");
  std::string text;
  for (const json& piece : prompt["pieces"]) text += piece.get<std::string>();
  CHECK(text == context);
  const std::size_t tokens = prompt["pieces"].size();
  CHECK(prompt["kinds"].get<std::string>().size() == tokens);
  CHECK(prompt["kinds"].get<std::string>()[0] == 'x');  // the start of the sequence has no text
  for (const json* line : {&full, &h2o}) {
    CHECK((*line)["record"] == "retention");
    CHECK((*line)["prompt"] == prompt["prompt"]);
    CHECK((*line)["memory"].get<std::string>().size() == 16);
    const auto kept_by = (*line)["kept_by"].get<std::vector<int>>();
    REQUIRE(kept_by.size() == tokens);
    int kept = 0;
    for (const json& head : (*line)["heads"]) kept += head[2].get<int>();
    CHECK(std::accumulate(kept_by.begin(), kept_by.end(), 0) == kept);
    CHECK(!(*line)["timeline"].empty());
  }
  const auto heads = static_cast<int>(full["heads"].size());
  for (const json& count : full["kept_by"]) CHECK(count == heads);
  for (const json& head : h2o["heads"]) CHECK(head[2].get<std::size_t>() <= (tokens + 1) / 2 + 1);
  CHECK(h2o["kept_by"][0] == heads);                             // a sink
  CHECK(h2o["kept_by"][tokens - 1] == heads);                    // the newest of the context
  CHECK(h2o["timeline"].back()[0].get<std::size_t>() > tokens);  // the question comes after
}

TEST_CASE("details: with the question in the context it is compressed, too") {
  NAMM_NEED_HOST(host);
  const std::string context = "Once upon a time there was a small house by the river and the number was seven.";
  const std::vector<json> after = details_of(host, context), inside = details_of(host, context, {"--question-in-context"});
  CHECK(inside[0]["pieces"].size() > after[0]["pieces"].size());
  CHECK(inside[2]["kept_by"].size() == inside[0]["pieces"].size());
}

TEST_CASE("details: a new file, or one of more prompts, has the prompts of what is resumed") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto evaluate = [&](const std::string& budgets, const std::string& details, const std::string& prompts) {
    const Outcome outcome = run_program({"eval",
                                         "--model",
                                         host,
                                         "--policy",
                                         "h2o",
                                         "--budget",
                                         budgets,
                                         "--tasks",
                                         "passkey",
                                         "--length",
                                         "64",
                                         "--samples",
                                         "3",
                                         "--quiet",
                                         "--resume",
                                         "--json",
                                         folder / "r.jsonl",
                                         "--details",
                                         folder / details,
                                         "--details-prompts",
                                         prompts});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const Outcome report = run_program({"report", folder / details});
    CAPTURE(report.err);
    CHECK(report.code == 0);
    std::map<std::string, int> lines;
    for (const json& line : parse_lines(read(folder / details)))
      ++lines[line["record"] == "prompt" ? "prompt" : line["policy"].get<std::string>()];
    return lines;
  };
  using Lines = std::map<std::string, int>;
  CHECK(evaluate("50%", "a.jsonl", "1") == Lines{{"prompt", 1}, {"full", 1}, {"h2o", 1}});
  CHECK(evaluate("50%,25%", "b.jsonl", "1") == Lines{{"prompt", 1}, {"full", 1}, {"h2o", 1}});
  CHECK(evaluate("50%,25%,40%", "b.jsonl", "2") == Lines{{"prompt", 2}, {"full", 2}, {"h2o", 3}});
}
