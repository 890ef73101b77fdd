#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::string prose(std::size_t words) {
  std::string text;
  for (std::size_t i = 0; i < words; ++i) text += (i % 3 == 0 ? "the " : i % 3 == 1 ? "small " : "garden ");
  return text;
}

}  // namespace

TEST_CASE("run prints the text, then the savings; --quiet the text alone") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::vector<std::string> words = {
      "run",          "--model", host,     "--policy",          "h2o",      "--budget", "25%", "--interval", "64",
      "--max-tokens", "6",       "--json", folder / "run.json", "--prompt", prose(300)};
  const Outcome outcome = run_program(words);
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.err.empty());
  for (const char* part : {"tokens ", "entries ", "KV memory ", "logical saving", "physical saving", "prefill", "peak resident"})
    CHECK(outcome.out.find(part) != std::string::npos);

  const std::vector<json> lines = parse_lines(read(folder / "run.json"));
  REQUIRE(lines.size() == 1);
  const json& line = lines[0];
  CHECK(line["policy"] == "h2o");
  CHECK(line["budget"] == "25%");
  CHECK(line["generated_tokens"] == 6);
  CHECK(outcome.out.rfind(line["text"].get<std::string>() + "\n", 0) == 0);
  const double full = line["entries_full"], kept = line["entries_final"];
  CHECK(kept < 0.4 * full);
  CHECK(line["logical_saving"].get<double>() == Approx(1 - kept / full));
  CHECK(line["kv_bytes_final"].get<double>() <= line["kv_bytes_peak"].get<double>());

  std::vector<std::string> quiet = words;
  quiet.push_back("--quiet");
  CHECK(run_program(quiet).out == line["text"].get<std::string>() + "\n");
}

TEST_CASE("run holds keys and values as --store says, with a policy and without") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto bytes_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--model", host, "--max-tokens", "2", "--prompt", prose(700)});
    more.insert(more.end(), {"--json", folder / "run.json"});
    const Outcome outcome = run_program(more);
    CAPTURE(outcome.err, outcome.out);
    REQUIRE(outcome.code == 0);
    const json line = parse_lines(read(folder / "run.json")).at(0);
    CHECK((outcome.out.find("held as " + line["store"].get<std::string>()) == std::string::npos) == (line["store"] == "f16"));
    return line["kv_bytes_final"].get<double>();
  };
  const double whole = bytes_with({}), half = bytes_with({"--store", "q8_0"}), values = bytes_with({"--store", "f16,q8_0"});
  CHECK(half < 0.7 * whole);
  CHECK((half < values && values < whole));
  const double quarter = bytes_with({"--store", "q4_0"}), mixed = bytes_with({"--store", "q8_0,q4_0"});
  CHECK((quarter < mixed && mixed < half));
  // the same budget of memory holds more tokens
  const std::vector<std::string> policy = {"--policy", "h2o", "--budget", "25%", "--interval", "64"};
  std::vector<std::string> codes = policy;
  codes.insert(codes.end(), {"--store", "q8_0"});
  CHECK(bytes_with(codes) < 0.8 * bytes_with(policy));
  // means of what was evicted take the places of tokens, and stand in halves beside them
  std::vector<std::string> means = policy;
  means.insert(means.end(), {"--store", "f16+4means"});
  CHECK(bytes_with(means) < 1.05 * bytes_with(policy));
  for (const char* const wrong :
       {"f16+0means", "f16+04means", "f16+17means", "f16+means", "f16+4", "f16,q8_0,q4_0", "+4means", "f16,"})
    check_refused(run_program({"run", "--model", host, "--prompt", "a", "--store", wrong}), 2, {"--store", "f16+4means", wrong});
  check_refused(
      run_program({"run", "--model", host, "--prompt", "a", "--policy", "h2o", "--budget", "22", "--store", "f16+4means"}), 2,
      {"budget: must hold the 20 protected tokens and 4 means", "is 22"});
  check_refused(
      run_program({"run", "--model", host, "--prompt", "a", "--policy", "h2o", "--budget", "29", "--store", "q8_0,q4_0+4means"}),
      2, {"4 means of evicted ones (store), worth 10 tokens", "is 29"});
  check_refused(run_program({"run", "--model", host, "--prompt", "a", "--store", "q2_k"}), 2, {"--store", "f16", "q8_0", "q2_k"});
  check_refused(run_program({"run", "--model", host, "--prompt", "a", "--store", "q8_0", "--attachment", "callback", "--policy",
                             "h2o", "--budget", "25%"}),
                2, {"store: must be f16", "--attachment backend"});
}

TEST_CASE("without --policy everything is kept, unless something is said of how to drop: then it is the policy default") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto policy_of = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--model", host, "--max-tokens", "2", "--quiet", "--prompt", prose(60)});
    more.insert(more.end(), {"--json", folder / "run.json"});
    const Outcome outcome = run_program(more);
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const json line = parse_lines(read(folder / "run.json")).at(0);
    return line["policy"].get<std::string>() + " " + line["budget"].get<std::string>();
  };
  CHECK(policy_of({}) == "full ");
  CHECK(policy_of({"--budget", "50%"}) == "default 50%");
  CHECK(policy_of({"--interval", "32"}) == "default 25%");
}

TEST_CASE("run says where the budget holds everything, and where it does not hold what is protected") {
  NAMM_NEED_HOST(host);
  const auto said = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--model", host, "--policy", "h2o", "--max-tokens", "2", "--prompt", prose(60)});
    const Outcome outcome = run_program(more);
    CHECK(outcome.code == 0);
    return outcome.err;
  };
  CHECK_THAT(said({"--budget", "64MiB"}), Contains("budget: 64MiB holds") && Contains("nothing is dropped"));
  CHECK_THAT(said({"--budget", "4000"}), !Contains("budget:"));  // as one sees
  CHECK_THAT(said({"--budget", "1%"}), Contains("less than the 20 protected tokens") && !Contains("nothing is dropped"));
  CHECK_THAT(said({"--budget", "1%", "--compare"}), Contains("less than the 20 protected tokens"));
  CHECK_THAT(said({"--budget", "50%"}), !Contains("budget:"));
}

TEST_CASE("a --json file that cannot be written is refused before the model is read, and none is left behind") {
  const Folder folder;
  const std::vector<std::string> words = {"run", "--model", "unused.gguf", "--prompt", "x", "--json"};
  const auto with_json = [&](const std::string& file) {
    std::vector<std::string> all = words;
    all.push_back(file);
    return run_program(all);
  };
  check_refused(with_json(folder / "no/such/folder/run.json"), 1, {"--json", "run.json", "No such file"});
  check_refused(with_json(folder.path().string()), 1, {"--json", "directory"});
  write(folder / "old.json", "old");
  check_refused(with_json(folder / "old.json"), 1, {"unused.gguf"});
  check_refused(with_json(folder / "new.json"), 1, {"unused.gguf"});
  CHECK(read(folder / "old.json") == "old");
  CHECK(folder.names() == std::vector<std::string>{"old.json"});
}

TEST_CASE("--json /dev/stdout comes after the text, also where that is a file") {
  NAMM_NEED_HOST(host);
  const Outcome outcome =
      run_program({"run", "--model", host, "--max-tokens", "4", "--quiet", "--json", "/dev/stdout", "--prompt", prose(20)});
  CHECK(outcome.code == 0);
  const std::size_t at = outcome.out.find("\n{");
  REQUIRE(at != std::string::npos);
  CHECK(json::parse(outcome.out.substr(at + 1))["text"] == outcome.out.substr(0, at));
}

TEST_CASE("a prompt comes from an option, a file or standard input, and is the same") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string text = prose(50);
  write(folder / "prompt.txt", text);
  const std::vector<std::string> words = {"run", "--model", host, "--max-tokens", "4", "--quiet"};
  const auto with = [&](std::vector<std::string> more, const std::string& input) {
    more.insert(more.begin(), words.begin(), words.end());
    return run_program(more, {input, {}, -1});
  };
  const Outcome given = with({"--prompt", text}, "");
  CHECK(given.code == 0);
  CHECK(with({"--file", folder / "prompt.txt"}, "").out == given.out);
  CHECK(with({}, text).out == given.out);
  check_refused(with({"--prompt", text, "--file", folder / "prompt.txt"}, ""), 2, {"--prompt", "--file"});
  check_refused(with({}, ""), 1, {"prompt", "is empty"});
  check_refused(with({"--file", "/no/such/file"}, ""), 1, {"/no/such/file", "No such file"});
  check_refused(with({"--file", folder.path().string()}, ""), 1, {"directory"});
}

TEST_CASE("text that is not UTF-8 is read with a warning") {
  NAMM_NEED_HOST(host);
  const Outcome outcome =
      run_program({"run", "--model", host, "--max-tokens", "2"}, {"some text \xff\xfe and \x80 more", {}, -1});
  CHECK(outcome.code == 0);
  CHECK(outcome.err.find("UTF-8") != std::string::npos);
  CHECK(outcome.err.find("byte 10") != std::string::npos);
}

TEST_CASE("a prompt longer than the training context is a warning that says so") {
  NAMM_NEED_HOST(host);
  const Outcome outcome = run_program({"run", "--model", host, "--policy", "streaming", "--budget", "64", "--max-tokens", "2"},
                                      {prose(4500), {}, -1});
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  for (const char* part : {"context", "trained for", "shorter prompts"}) CHECK(outcome.err.find(part) != std::string::npos);
}

TEST_CASE("a context that is too small is refused") {
  NAMM_NEED_HOST(host);
  check_refused(run_program({"run", "--model", host, "--context", "256", "--prompt", prose(400)}), 1,
                {"context", "256", "--context"});
}

TEST_CASE("--compare measures stock llama.cpp, the full cache and every policy, mode and budget") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program({"run", "--model", host, "--compare", "--policy", "h2o,streaming", "--budget", "50%,25%",
                                       "--mode", "uniform,pooled", "--interval", "64", "--max-tokens", "4", "--json",
                                       folder / "runs.json", "--prompt", prose(200)});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  const std::vector<json> lines = parse_lines(read(folder / "runs.json"));
  REQUIRE(lines.size() == 2 + 1 + 2 * 2 * 2);
  std::istringstream table(outcome.out);
  for (std::string line; std::getline(table, line);) CHECK(line.size() <= 104);  // 100 columns, with some of more than a byte
  CHECK_THAT(outcome.out, Contains("llama.cpp, flash attention off") && Contains("streaming 25% pooled"));
  CHECK(lines[0]["runtime"] == "llama.cpp");
  CHECK(lines[0]["policy"] == "flash attention off");
  CHECK(lines[1]["policy"] == "flash attention on");
  CHECK(lines[2]["policy"] == "full");
  CHECK(lines[2]["logical_saving"] == 0.0);
  CHECK(lines[2]["text"] == lines[1]["text"]);
  for (std::size_t i = 3; i < lines.size(); ++i) CHECK(lines[i]["logical_saving"].get<double>() > 0.3);
  for (const json& line : lines) CHECK(line["peak_rss_bytes"].get<double>() > 1e6);
}

TEST_CASE("--positions lists what every head kept") {
  NAMM_NEED_HOST(host);
  const Outcome outcome = run_program({"run", "--model", host, "--policy", "streaming", "--budget", "24", "--interval", "32",
                                       "--positions", "--max-tokens", "1", "--prompt", prose(60)});
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("layer ") != std::string::npos);
  CHECK(outcome.out.find("24: 0-3 ") != std::string::npos);  // the sinks, then the newest
}
