// A plain text where prompts are meant.
#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::string letters() {
  std::string out;
  for (int i = 0; i < 120; ++i)
    out += "In the year " + std::to_string(1700 + i) + " the keeper of the light wrote a letter to the village by the sea. ";
  return out;
}

}  // namespace

TEST_CASE("eval --data of a plain text measures its own continuation, and says so") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "own.txt", letters());
  const Outcome outcome =
      run_program({"eval", "--model", host, "--data", folder / "own.txt", "--policy", "h2o", "--budget", "50%", "--length", "200",
                   "--samples", "2", "--interval", "64", "--json", folder / "r.jsonl"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("own: is plain text without questions") && Contains("dlogp, and KL with --wide"));
  const auto records = parse_lines(read(folder / "r.jsonl"));
  REQUIRE(records.size() == 2);
  CHECK(records[0]["task"] == "own");
  CHECK(records[0]["samples"] == 2);
  CHECK(records[0]["answer_log_likelihood"].get<double>() < 0);
  CHECK(records[1]["fidelity_kl"].get<double>() > 0);
}

TEST_CASE("evolve --data of a plain text names the fitness that fits it") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "own.txt", letters());
  check_refused(run_program({"evolve", "--model", host, "--data", folder / "own.txt", "--output", folder / "run", "--generations",
                             "0", "--prompts", "1", "--validation", "1", "--length", "200", "--quiet"}),
                2, {"must have a gold answer", "for plain texts give --fitness fidelity"});
}

TEST_CASE("calibrate --data of a plain text reads all of it, in pieces, and never says nan") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "own.txt", letters());
  const std::vector<std::string> words = {"calibrate", "--model", host,      "--data",  folder / "own.txt",
                                          "--texts",   "0",       "--quiet", "--length"};
  const auto with = [&](const std::string& length, const std::string& name) {
    std::vector<std::string> out = words;
    out.insert(out.end(), {length, "--output", folder / name});
    return run_program(out);
  };
  const Outcome pieces = with("128", "pieces");
  CAPTURE(pieces.out, pieces.err);
  REQUIRE(pieces.code == 0);
  CHECK_THAT(pieces.out, Contains("% of the variance explained on held-out texts"));
  CHECK(json::parse(read(folder / "pieces/calibration.json"))["texts"].get<int>() > 8);
  const Outcome one = with("100000", "one");  // as long as the text
  CAPTURE(one.out, one.err);
  REQUIRE(one.code == 0);
  CHECK_THAT(one.out, Contains("too few texts to hold one out") && !Contains("nan"));
}
