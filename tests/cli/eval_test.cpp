#include <algorithm>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::vector<std::string> eval_words(const std::string& host, const std::string& results) {
  return {"eval",    "--model",   host,       "--policy", "h2o,streaming", "--budget",       "50%,25%",
          "--tasks", "passkey",   "--length", "64",       "--mode",        "uniform,pooled", "--interval",
          "32",      "--samples", "3",        "--json",   results};
}

/// What does not depend on the clock.
json lasting(json record) {
  for (const char* name : {"peak_rss_bytes", "prefill_tokens_per_second", "decode_tokens_per_second"}) record.erase(name);
  return record;
}

}  // namespace

TEST_CASE("eval measures every policy, mode and budget once, beside one full cache") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program(eval_words(host, folder / "r.jsonl"));
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const std::vector<json> records = parse_lines(read(folder / "r.jsonl"));
  REQUIRE(records.size() == 1 + 2 * 2 * 2);
  CHECK(records[0]["policy"] == "full");
  CHECK(records[0]["quality_relative_ci95"] == json({1.0, 1.0}));
  std::map<std::string, int> rows;
  for (const json& r : records) {
    ++rows[r["policy"].get<std::string>() + r["budget"].get<std::string>() + r["mode"].get<std::string>()];
    CHECK(r["answer_nll_change"].get<double>() == Approx(-r["answer_log_likelihood_delta"].get<double>()).margin(1e-12));
    const json& low_high = r["answer_nll_change_ci95"];
    CHECK(low_high[0].get<double>() <= r["answer_nll_change"].get<double>() + 1e-12);
    CHECK(low_high[1].get<double>() >= r["answer_nll_change"].get<double>() - 1e-12);
    CHECK(r["exact"] == r["quality"]);  // the score of passkey
  }
  CHECK(rows.size() == records.size());
}

TEST_CASE("eval says what its table cannot show: protected tokens above the budget, means that full has no use for") {
  NAMM_NEED_HOST(host);
  const auto said = [&](const std::string& policy, const std::string& budget, const std::string& store) {
    const Outcome outcome = run_program({"eval", "--model", host, "--policy", policy, "--budget", budget, "--store", store,
                                         "--tasks", "passkey", "--length", "200", "--samples", "1"});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK((outcome.out.find("held as") != std::string::npos) == (store != "f16"));
    return outcome.err;
  };
  CHECK_THAT(said("h2o,tova", "5%", "f16"), Contains("budget: 5% of") && Contains("less than the 20 protected tokens"));
  CHECK_THAT(said("h2o", "50%", "q8_0"), !Contains("budget:"));
  CHECK_THAT(said("full", "50%", "q8_0+4means"), Contains("full evicts none: it is measured in q8_0"));
}

TEST_CASE("eval resumes: what is there is not measured again, a cut line is, and the file ends up the same") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto words = eval_words(host, folder / "r.jsonl");
  REQUIRE(run_program(words).code == 0);
  const std::string whole = read(folder / "r.jsonl");
  const std::vector<json> records = parse_lines(whole);
  std::size_t fourth = 0;
  for (int i = 0; i < 4; ++i) fourth = whole.find('\n', fourth) + 1;
  write(folder / "r.jsonl", whole.substr(0, fourth + 40));

  const Outcome resumed = run_program(with(words, {"--resume"}));
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  const std::string again = read(folder / "r.jsonl");
  CHECK(again.substr(0, fourth) == whole.substr(0, fourth));
  const std::vector<json> completed = parse_lines(again);
  REQUIRE(completed.size() == records.size());
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(lasting(completed[i]) == lasting(records[i]));
  CHECK(resumed.out.find("streaming") != std::string::npos);

  // nothing is left to do: the same table, not one byte written
  const Outcome done = run_program(with(words, {"--resume"}));
  CHECK(done.code == 0);
  CHECK(done.out == resumed.out);
  CHECK(read(folder / "r.jsonl") == again);
  // a file that is not there yet is begun
  CHECK(run_program(with(eval_words(host, folder / "new.jsonl"), {"--resume", "--quiet"})).code == 0);
  CHECK(parse_lines(read(folder / "new.jsonl")).size() == records.size());
}

TEST_CASE("eval does not resume results of other settings, and leaves them as they are") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto words = eval_words(host, folder / "r.jsonl");
  REQUIRE(run_program(words).code == 0);
  const std::string before = read(folder / "r.jsonl");
  const auto refused = [&](std::initializer_list<std::string> more, const std::vector<std::string>& parts) {
    check_refused(run_program(with(with(words, {"--resume"}), more)), 1, parts);
    CHECK(read(folder / "r.jsonl") == before);
  };
  refused({"--seed", "9"}, {"seed", "9", "r.jsonl"});
  refused({"--question-in-context"}, {"question_after", "true", "false"});
  refused({"--haystack", "repeated"}, {"haystack", "own", "repeated"});
  refused({"--protect-recent", "8"}, {"h2o", "--protect-"});
  check_refused(run_program({"eval", "--model", host, "--policy", "h2o", "--resume"}), 2, {"--resume", "--json"});
  write(folder / "r.jsonl", "{\"model\": 1}\n" + before);
  check_refused(run_program(with(words, {"--resume"})), 1, {"r.jsonl:1:", "model"});
}

TEST_CASE("eval --json /dev/stdout loses no line where that is a file, and an old file stands until there is a result") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program(eval_words(host, "/dev/stdout"));
  REQUIRE(outcome.code == 0);
  std::size_t lines = 0;
  std::istringstream in(outcome.out);
  for (std::string line; std::getline(in, line);)
    if (line.rfind('{', 0) == 0 && json::parse(line).contains("quality")) ++lines;
  CHECK(lines == 9);
  CHECK(outcome.out.find("passkey, 64 tokens") != std::string::npos);

  write(folder / "old.jsonl", "old results\n");
  auto words = eval_words("missing.gguf", folder / "old.jsonl");
  check_refused(run_program(words), 1, {"missing.gguf"});
  CHECK(read(folder / "old.jsonl") == "old results\n");
  check_refused(run_program(eval_words(host, folder / "no/such/folder/r.jsonl")), 1, {"--json", "r.jsonl", "No such file"});

  Surroundings limited;
  limited.largest_file_bytes = 3000;
  words = eval_words(host, folder / "full.jsonl");
  words.emplace_back("--quiet");
  check_refused(run_program(words, limited), 1, {"--json", "full.jsonl", "File too large"});
  const std::string left = read(folder / "full.jsonl");
  CHECK(left.size() <= 3000);
  REQUIRE(!left.empty());
  CHECK(left.back() == '\n');  // no half line
}

TEST_CASE("--mode is a list where several are compared, and one where only one makes sense") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  check_refused(run_program({"evolve", "--model", host, "--mode", "uniform,pooled", "--output", folder / "run"}), 2,
                {"--mode", "one", "uniform,pooled"});
  check_refused(run_program({"eval", "--model", host, "--policy", "h2o", "--modes", "uniform"}), 2, {"--modes", "--mode"});
  CHECK(folder.names().empty());
}

TEST_CASE("eval: a filler's name is a name whatever lies in the folder, and what is in a folder of sources counts") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::filesystem::create_directory(folder / "prose");
  Surroundings there;
  there.launcher = {"env", "-C", folder.path().string()};
  const auto filler = [&](const std::string& name, std::initializer_list<std::string> more) {
    return run_program(
        with({"eval", "--model", std::filesystem::absolute(host).string(), "--policy", "h2o", "--budget", "50%", "--tasks",
              "passkey", "--length", "200", "--samples", "1", "--json", folder / "r.jsonl", "--haystack", name},
             more),
        there);
  };
  const Outcome named = filler("prose", {});
  CAPTURE(named.err);
  REQUIRE(named.code == 0);
  CHECK(parse_lines(read(folder / "r.jsonl")).at(0)["settings"]["haystack"] == "prose");

  std::filesystem::create_directory(folder / "sources");
  std::string text;
  for (int i = 0; i < 100; ++i) text += "int value_" + std::to_string(i) + " = " + std::to_string(i * 7) + ";\n";
  for (int i = 0; i < 64; ++i) write(folder / ("sources/file_" + std::to_string(i) + ".h"), text);
  const Outcome sources = filler("code:sources", {});
  CAPTURE(sources.err);
  REQUIRE(sources.code == 0);
  CHECK(filler("code:sources", {"--resume"}).code == 0);
  write(folder / "sources/file_3.h", text + "int more;\n");
  check_refused(filler("code:sources", {"--resume"}), 1, {"haystack", "r.jsonl"});
}
