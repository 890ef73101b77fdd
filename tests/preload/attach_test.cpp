// `namm attach` around a program that was built without any knowledge of it.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.hpp"
#include "tests/llama/tiny_model.hpp"

using namespace namm::test;
using Words = std::vector<std::string>;

namespace {

Outcome attached(const std::string& model, const Words& actions, const Words& options = {"--policy", "full"}) {
  Words words = {"attach"};
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"--", NAMM_PLAIN_PROGRAM, model});
  words.insert(words.end(), actions.begin(), actions.end());
  return run_program(words);
}

/// The same program alone; `namm` is only the way to start it.
Outcome alone(const std::string& model, const Words& actions) {
  Words words = {NAMM_PLAIN_PROGRAM, model};
  words.insert(words.end(), actions.begin(), actions.end());
  std::string command;
  for (const std::string& word : words) command += "'" + word + "' ";
  Outcome out;
  FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe);
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) out.out.append(part, n);
  out.code = ::pclose(pipe);
  return out;
}

std::vector<std::vector<double>> numbers(const Outcome& outcome) {
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.code == 0);
  std::vector<std::vector<double>> out;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    out.emplace_back();
    for (double x; words >> x;) out.back().push_back(x);
  }
  return out;
}

/// Largest difference of the rows of logits over the largest logit.
double apart(const Outcome& a, const Outcome& b) {
  const auto x = numbers(a), y = numbers(b);
  REQUIRE(x.size() == y.size());
  double difference = 0, top = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    REQUIRE(x[i].size() == y[i].size());
    REQUIRE(x[i].size() == 64);
    for (std::size_t j = 0; j < 64; ++j) {
      difference = std::max(difference, std::abs(x[i][j] - y[i][j]));
      top = std::max(top, std::abs(x[i][j]));
    }
  }
  return difference / top;
}

const Words kEvicting = {"--policy", "h2o-mean", "--budget", "25%", "--interval", "64"};

std::string model_file() {
  return write_tiny_model({}).string();
}

}  // namespace

TEST_CASE("attached with everything kept, a program computes what it computes alone", "[preload][attach]") {
  const std::string model = model_file();
  for (const char* const context : {"unified:1", "unified:4", "streams:4"}) {
    CAPTURE(context);
    const Words actions = {context, "eval:0:100:1", "logits", "step:0:6:2", "logits", "clear", "eval:0:40:3", "logits"};
    CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);  // its decode accumulates in half precision
  }
  const Words two = {"unified:2", "both:64:5", "logits", "step:0:3:6", "logits", "step:1:3:7", "logits"};
  CHECK(apart(attached(model, two), alone(model, two)) < 0.01);
}

TEST_CASE("a sequence that is cut goes on as if the end had never been", "[preload][attach]") {
  const std::string model = model_file();
  for (const char* const context : {"unified:2", "streams:2"}) {
    CAPTURE(context);
    const Outcome cut = attached(model, {context, "eval:0:64:1", "step:0:20:9", "cut:0:64", "step:0:8:2", "logits"});
    const Outcome fresh = attached(model, {context, "eval:0:64:1", "step:0:8:2", "logits"});
    CHECK(apart(cut, fresh) < 1e-5);
    // with evictions: none since the cut, so the same holds
    const Words words = {context, "eval:0:64:1", "step:0:20:9", "cut:0:64", "step:0:8:2", "logits"};
    CHECK(apart(attached(model, words, kEvicting), attached(model, {context, "eval:0:64:1", "step:0:8:2", "logits"}, kEvicting)) <
          1e-3);
  }
}

TEST_CASE("how far a sequence can be cut is told", "[preload][attach]") {
  const std::string model = model_file();
  const Words actions = {"unified:2", "eval:0:100:1", "min:0", "max:0", "step:0:30:2",
                         "min:0",     "min:1",        "rm:0",  "min:0", "max:0"};
  CHECK(attached(model, actions).out == "0\n99\n0\n-1\n-1\n-1\n");
  // updates at 64 and 128 (chunks of 32); what was evicted then cannot come back
  CHECK(attached(model, actions, kEvicting).out == "63\n99\n127\n-1\n-1\n-1\n");
}

#ifndef __SANITIZE_ADDRESS__  // it keeps freed memory back
TEST_CASE("memory of removed sequences is released", "[preload][attach]") {
  TinyShape shape;
  shape.query_heads = shape.kv_heads = 6;
  shape.head_size = 64;
  const std::string model = write_tiny_model(shape).string();  // 4.6 kB per token: 4.6 MB for 1,000
  for (const Words& way : {Words{"rm:1"}, Words{"clear"}, Words{"keep:0"}}) {
    CAPTURE(way[0]);
    const auto memory =
        numbers(attached(model, {"unified:2", "eval:0:32:1", "memory", "eval:1:960:2", "memory", way[0], "memory"}));
    REQUIRE(memory.size() == 3);
    CHECK(memory[1][0] > memory[0][0] + 3500);
    CHECK(memory[2][0] < memory[0][0] + 1500);
  }
}
#endif

TEST_CASE("what the store cannot follow is refused, and nothing goes on", "[preload][attach]") {
  const std::string model = model_file();
  const Outcome shift = attached(model, {"eval:0:40:1", "can_shift", "shift:0", "step:0:1:2"});
  CHECK(shift.out == "0\nfailed -3\n");
  CHECK_THAT(shift.err, Contains("moving positions") && Contains("must be left off"));
  const Outcome copy = attached(model, {"streams:2", "eval:0:40:1", "copy:0:1", "step:0:1:2"});
  CHECK(copy.out == "failed -3\n");
  CHECK_THAT(copy.err, Contains("another stream"));
  const Outcome middle = attached(model, {"eval:0:40:1", "middle:0:4:8", "max:0"});
  CHECK(middle.out == "not removed\n39\n");
  const Outcome state = attached(model, {"eval:0:40:1", "save:0"});
  CHECK(state.out == "0\n");
  CHECK_THAT(state.err, Contains("saving a state") && Contains("empty"));
}

TEST_CASE("a copy within one cache is a branch", "[preload][attach]") {
  const std::string model = model_file();
  const Words actions = {"unified:2",  "eval:0:64:1", "copy:0:1",   "step:0:5:2", "logits",
                         "step:1:5:3", "logits",      "step:0:2:4", "logits"};
  CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);
}

TEST_CASE("a context that cannot be attached to is refused", "[preload][attach]") {
  const std::string model = model_file();
  const Outcome off = attached(model, {"fa:off", "eval:0:4:1"});
  CHECK(off.code == 4);
  CHECK_THAT(off.err, Contains("flash attention"));
  TinyShape shape;
  shape.architecture = "mamba";
  const Outcome recurrent = attached(write_tiny_model(shape).string(), {"eval:0:4:1"});
  CHECK(recurrent.code == 4);
  CHECK_THAT(recurrent.err, Contains("must have a KV cache"));
}

TEST_CASE("requests are logged and written as JSON lines", "[preload][attach]") {
  const std::string model = model_file();
  const Folder folder;
  Words options = kEvicting;
  options.insert(options.end(), {"--stats", folder / "stats.jsonl"});
  const Outcome outcome = attached(
      model, {"unified:2", "eval:0:200:1", "step:0:10:2", "eval:0:20:3", "step:0:5:4", "eval:1:50:5", "step:1:4:6", "clear"},
      options);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("policy h2o-mean attached, budget 25%") && Contains("request 3, slot 1: 50 tokens read"));
  std::istringstream lines(read(folder / "stats.jsonl"));
  std::vector<nlohmann::json> requests;
  for (std::string line; std::getline(lines, line);) requests.push_back(nlohmann::json::parse(line));
  REQUIRE(requests.size() == 3);
  CHECK(requests[0]["prompt_tokens"] == 200);
  CHECK(requests[0]["generated_tokens"] == 10);
  CHECK(requests[0]["tokens_seen"] == 210);
  CHECK(requests[0]["entries_full"] == 210 * 6);
  CHECK(requests[0]["entries"] == (48 + 18) * 6);  // 25 % of 192 at the last update, and what came since
  CHECK(requests[1]["reused_tokens"] == 210);
  CHECK(requests[2]["slot"] == 1);
}

TEST_CASE("attach: what is missing is named", "[preload][attach]") {
  check_refused(run_program({"attach", "--policy", "full"}), 2, {"program: must be given behind '--'"});
  check_refused(run_program({"attach", "--policy", "h2o-mean", "--", "true"}), 2, {"--budget", "must be given"});
  check_refused(run_program({"attach", "--", "true"}), 2, {"--policy", "must be given"});
  check_refused(run_program({"attach", "--policy", "full", "--", "/nowhere/program"}), 1, {"/nowhere/program", "cannot"});
  check_refused(run_program({"attach", "--policy", "full", "--stats", "/nowhere/file", "--", "true"}), 1,
                {"--stats", "writable"});
  CHECK(run_program({"attach", "--policy", "full", "--", "true"}).code == 0);  // no llama.cpp in it: nothing happens
}
