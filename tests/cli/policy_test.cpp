#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// `inspect` needs no model; `run` checks the policy before it loads one.
void check_refused_everywhere(const std::string& file, const std::vector<std::string>& parts) {
  check_refused(run_program({"inspect", file}), 1, parts);
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", file, "--prompt", "hello"}), 1, parts);
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", file}), 1, parts);
}

}  // namespace

TEST_CASE("damaged policy files are refused with the field and the reason") {
  const Folder folder;
  const std::string file = folder / "policy.json";
  write_policy(file);
  const std::string whole = read(file);
  CHECK(run_program({"inspect", file}).code == 0);

  SECTION("truncated") {
    for (const std::size_t length : {std::size_t{1}, whole.size() / 4, whole.size() / 2, whole.size() - 3}) {
      CAPTURE(length);
      write(file, whole.substr(0, length));
      check_refused_everywhere(file, {"policy.json", "cut off"});
    }
  }
  SECTION("another version") {
    json content = json::parse(whole);
    content["version"] = 99;
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "version", "99"});
  }
  SECTION("another format") {
    json content = json::parse(whole);
    content["format"] = "something";
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "format", "something"});
  }
  SECTION("a weight that is no number") {
    json content = json::parse(whole);
    content["policy"]["weights"][3] = nullptr;  // what JSON writers make of NaN
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "weights"});
    std::string text = json::parse(whole).dump();
    const std::size_t at = text.find("\"weights\":[") + 11;
    text.replace(at, text.find(',', at) - at, "NaN");
    write(file, text);
    check_refused_everywhere(file, {"policy.json"});
    text.replace(at, 3, "1e999");
    write(file, text);
    check_refused_everywhere(file, {"policy.json"});
  }
  SECTION("the wrong number of weights") {
    json content = json::parse(whole);
    content["policy"]["weights"].push_back(0.5);
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "weights"});
    content["policy"]["weights"] = json::array();
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "weights"});
  }
  SECTION("a field that this version does not know") {
    json content = json::parse(whole);
    content["policy"]["extra"] = 1;
    write(file, content.dump());
    check_refused_everywhere(file, {"policy.json", "extra"});
  }
}

TEST_CASE("unknown policies and tasks are refused with the nearest names") {
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o-maen", "--prompt", "x"}), 2,
                {"h2o-maen", "h2o-mean"});
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "streeming"}), 2, {"streeming", "streaming"});
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", "--tasks", "paskey"}), 2,
                {"paskey", "passkey"});
  check_refused(run_program({"prompts", "--task", "kv-recal"}), 2, {"kv-recal", "kv-recall"});
  check_refused(
      run_program({"run", "--model", "unused.gguf", "--policy", "h2o", "--budget", "25%", "--mode", "pool", "--prompt", "x"}), 2,
      {"pool", "pooled"});
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "missing.json", "--prompt", "x"}), 1,
                {"missing.json", "No such file"});
}

TEST_CASE("unknown strategies and fitness measures are refused with the nearest names, and no folder is made") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  check_refused(run_program({"evolve", "--model", host, "--strategy", "cms", "--output", folder / "run"}), 2, {"cms", "cma"});
  check_refused(run_program({"evolve", "--model", host, "--fitness", "answer-likelyhood", "--output", folder / "run"}), 2,
                {"answer-likelyhood", "answer-likelihood"});
  check_refused(run_program({"evolve", "--model", host, "--policy", "h2o", "--output", folder / "run"}), 2, {"h2o", "linear"});
  CHECK(folder.names().empty());
}
