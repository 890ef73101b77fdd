// `namm attach` around a program that was built without any knowledge of it.
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/preload/attached.hpp"
#include "tests/support/sanitizers.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm::test;

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

TEST_CASE("every position above the one that is told can be cut", "[preload][attach]") {
  TinyShape shape;
  shape.architecture = "gemma2";  // windows of 24
  const std::string model = write_tiny_model(shape).string();
  const Words options = {"--policy", "h2o-mean", "--budget", "1000", "--interval", "16"};  // only windows drop anything
  for (const bool whole : {true, false}) {
    Words begin = whole ? Words{"swa:full", "unified:1"} : Words{"unified:1"};
    Words ask = begin, cut = begin;
    for (const char* const word : {"eval:0:100:1", "min:0"}) ask.emplace_back(word);
    const int told = static_cast<int>(numbers(attached(model, ask, options)).at(0).at(0));
    CAPTURE(whole, told);
    CHECK(told == 94);  // windows were left at 96 tokens: 72 to 95 are held, which is what position 95 sees
    cut.emplace_back("eval:0:100:1");
    for (int at = 99; at > told; --at) cut.push_back("cut:0:" + std::to_string(at));
    Words fresh = begin;
    fresh.push_back("eval:0:" + std::to_string(told + 1) + ":1");
    for (Words* const words : {&cut, &fresh})
      for (const char* const word : {"step:0:4:2", "logits"}) words->emplace_back(word);
    const Outcome walked = attached(model, cut, options);
    CHECK(walked.out.find("failed") == std::string::npos);
    CHECK(apart(walked, attached(model, fresh, options)) < 1e-5);
  }
}

#ifndef NAMM_ASAN  // it keeps freed memory back
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
  const Outcome copy = attached(model, {"streams:2", "eval:0:40:1", "copy:0:1:20", "step:0:1:2", "step:1:1:2"});
  CHECK(copy.out == "failed -3\n");  // of the sequence that was to be a copy, not of its source
  CHECK_THAT(copy.err, Contains("must be copied as a whole") && Contains("up to 20"));
  const Outcome middle = attached(model, {"eval:0:40:1", "middle:0:4:8", "max:0"});
  CHECK(middle.out == "not removed\n39\n");
  const Outcome part = attached(model, {"eval:0:40:1", "checkpoint:0"});
  CHECK(part.out == "0\n");
  CHECK_THAT(part.err, Contains("checkpoint") && Contains("must be whole"));
  const Outcome early = attached(model, {"eval:0:128:1", "cut:0:100", "max:0"}, kEvicting);
  CHECK(early.out == "failed cut\n127\n");
  CHECK_THAT(early.err, Contains("behind the last eviction") && Contains("cut at 100"));
}

TEST_CASE("a copy within one cache is a branch", "[preload][attach]") {
  const std::string model = model_file();
  const Words actions = {"unified:2",  "eval:0:64:1", "copy:0:1",   "step:0:5:2", "logits",
                         "step:1:5:3", "logits",      "step:0:2:4", "logits"};
  CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);
}

TEST_CASE("a branch that ends leaves the others what they share", "[preload][attach]") {
  const std::string model = model_file();
  const Words actions = {"unified:3", "eval:0:64:1", "copy:0:1",   "step:1:5:2", "logits",     "rm:1",   "step:0:3:3",
                         "logits",    "copy:0:2",    "step:2:3:4", "rm:0",       "step:2:2:5", "logits", "eval:0:20:6",
                         "logits",    "copy:2:1",    "keep:1",     "step:1:2:7", "logits"};
  CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);
}

TEST_CASE("branches that begin in one batch are followed", "[preload][attach]") {
  const std::string model = model_file();
  // in one part of the batch, in several, and not before the batch behind it
  for (const char* const begin : {"together:20:10:1", "together:50:40:1", "together:20:0:1"}) {
    CAPTURE(begin);
    const Words actions = {"unified:2",  begin,    "logits", "step:0:3:2", "logits",
                           "step:1:3:3", "logits", "rm:1",   "step:0:2:4", "logits"};
    CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);
  }
}

TEST_CASE("windows are left by a sequence, not by its branches", "[preload][attach]") {
  TinyShape shape;
  shape.architecture = "gemma2";
  const std::string model = write_tiny_model(shape).string();
  const Words roomy = {"--policy", "h2o-mean", "--budget", "1000", "--interval", "16"};  // nothing is evicted but by windows
  const Words actions = {"unified:2", "eval:0:40:1", "copy:0:1", "step:1:60:2", "step:0:3:3", "logits"};
  CHECK(apart(attached(model, actions, roomy), alone(model, actions)) < 0.01);
  // the update at 96 leaves positions 72 and later in the window, which a token at 95 sees
  const Words cut = {"swa:full", "unified:1", "eval:0:100:1", "cut:0:94", "cut:0:95", "step:0:3:2", "logits"};
  const Outcome outcome = attached(model, cut, roomy);
  CHECK(outcome.out.rfind("failed cut\n", 0) == 0);
  Outcome logits = outcome;
  logits.out.erase(0, logits.out.find('\n') + 1);
  CHECK(apart(logits, alone(model, {"swa:full", "unified:1", "eval:0:100:1", "cut:0:95", "step:0:3:2", "logits"})) < 0.01);
  // the update at 64 drops what the branch, which is not known before the batch's second part, would still see
  const Outcome late = attached(model, {"unified:2", "together:50:40:1"}, roomy);
  CHECK(late.out == "failed -3\n");
  CHECK_THAT(late.err, Contains("must begin with its window still held"));
}

TEST_CASE("the beginning of a sequence is copied as far as evictions have not seen it", "[preload][attach]") {
  const std::string model = model_file();
  const Words actions = {"unified:3", "eval:0:40:1", "copy:0:1:30", "step:1:5:2", "logits", "step:0:3:3", "logits"};
  CHECK(apart(attached(model, actions), alone(model, actions)) < 0.01);
  const Outcome early =
      attached(model, {"unified:2", "eval:0:100:1", "copy:0:1:50", "step:1:2:2", "step:0:2:3", "max:0"}, kEvicting);
  CHECK(early.out == "failed -3\nfailed -3\n101\n");  // one line for each of the two steps of sequence 1
  CHECK_THAT(early.err, Contains("must reach behind the last eviction") && Contains("end at 50"));
}

TEST_CASE("what is left of a branch and restored keeps its name", "[preload][attach]") {
  const Words actions = {"unified:3",  "eval:0:64:1", "copy:0:1", "step:1:5:2",   "step:0:3:3", "save:0", "load:2",
                         "step:2:1:4", "cut:2:30",    "max:2",    "eval:2:100:5", "cut:2:70",   "max:2"};
  // the update at 64, and after the restored sequence went on one at 128
  const std::string out = attached(model_file(), actions, kEvicting).out;
  CHECK_THAT(out, Contains("failed cut\n67\nfailed cut\n167\n"));
}

TEST_CASE("after a copy elsewhere, evictions still limit where a sequence is cut", "[preload][attach]") {
  const Words actions = {"unified:3", "eval:0:32:1",  "copy:0:1", "rm:1", "eval:2:100:3",
                         "cut:2:90",  "eval:2:100:4", "cut:2:80", "max:2"};  // updates at 64 and, after the cut, at 128
  CHECK(attached(model_file(), actions, kEvicting).out == "failed cut\n189\n");
}

TEST_CASE("a copy in another stream is a sequence of its own", "[preload][attach]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  const std::string model = write_tiny_model(shape).string();
  const Words policy =
      GENERATE(Words{"--policy", "full"}, kEvicting, Words{"--policy", "default", "--budget", "40", "--interval", "32"});
  CAPTURE(shape.architecture, policy);
  const auto run = [&](const Words& actions) {
    Words all = {"streams:3"};
    all.insert(all.end(), actions.begin(), actions.end());
    return attached(model, all, policy);
  };
  const std::string one = run({"eval:0:100:1", "step:0:40:6", "logits"}).out;
  const std::string two = run({"eval:0:100:1", "step:0:40:9", "logits"}).out;
  REQUIRE(one.size() > 100);
  CHECK(one != two);
  // the plain program adds a sequence's number to its seed
  const Words copied = {"eval:1:30:8", "eval:0:100:1", "copy:0:1", "copy:0:2", "step:1:40:5", "logits", "step:0:40:9", "logits"};
  CHECK(run(copied).out == one + two);
  CHECK(run({"eval:0:100:1", "copy:0:2", "rm:0", "eval:0:50:3", "step:2:40:4", "logits"}).out == one);
  const Outcome saved = run({"eval:0:100:1", "copy:0:1", "save:1", "rm:1", "load:1", "step:1:40:5", "logits"});
  CHECK(apart(saved, run({"eval:0:100:1", "step:0:40:6", "logits"})) < 1e-6);  // of a window: up to rounding
  CHECK(run({"eval:0:100:1", "copy:0:1", "copy:1:2", "clear", "eval:0:100:1", "step:0:40:6", "logits"}).out == one);
}

TEST_CASE("what evictions saw stays a limit for cuts of a copy in another stream", "[preload][attach]") {
  const Outcome cut = attached(model_file(), {"streams:2", "eval:0:128:1", "copy:0:1", "min:1", "cut:1:100", "max:1"}, kEvicting);
  CHECK(cut.out == "127\nfailed cut\n127\n");
}

TEST_CASE("what was refused fails until the sequence is removed", "[preload][attach]") {
  const std::string model = model_file();
  const Outcome copy = attached(model, {"streams:2", "eval:0:40:1", "copy:0:1:20", "step:1:1:2", "step:0:1:3", "rm:1",
                                        "step:1:2:4", "step:0:2:5", "max:0"});
  CHECK(copy.out == "failed -3\n42\n");
  const Outcome inherited =
      attached(model, {"unified:3", "eval:0:40:1", "shift:0", "copy:0:1", "rm:0", "step:1:1:2", "eval:0:8:3", "max:0"});
  CHECK(inherited.out == "failed -3\n7\n");
  const Outcome shift = attached(model, {"unified:2", "eval:0:40:1", "shift:0", "step:0:1:2", "clear", "eval:0:8:3", "max:0"});
  CHECK(shift.out == "failed -3\n7\n");
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
  CHECK_THAT(recurrent.err, Contains("no KV cache"));
  const std::pair<const char*, const char*> refused[] = {
      {"mpt", "ALiBi"}, {"qwen2vl", "M-RoPE"}, {"deepseek2", "multi-head latent attention"}, {"minimax-m3", "an index beside"}};
  for (const auto& [architecture, why] : refused) {
    CAPTURE(architecture);
    shape.architecture = architecture;
    shape.kv_heads = shape.architecture == "mpt" ? shape.query_heads : 2;
    const Outcome outcome = attached(write_tiny_model(shape).string(), {"eval:0:4:1"});
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains(why));
  }
}

TEST_CASE("a policy that does not fit the model or its cache is refused with the context", "[preload][attach]") {
  const std::string probe = NAMM_SOURCE_DIR "/experiments/calibrate/policies/jamba-recall-probe.json";
  const Words options = {"--policy", probe, "--budget", "25%"};
  const Outcome other = attached(model_file(), {"eval:0:4:1"}, options);
  CHECK(other.code == 4);
  CHECK_THAT(other.err, Contains("probe: must be fitted on the model it is used with"));
  CHECK_THAT(other.err, !Contains("attached, budget"));  // nothing was
  const Outcome rotated = attached(model_file(), {"kv:q8_0", "eval:0:4:1"}, options);
  CHECK(rotated.code == 4);
  CHECK_THAT(rotated.err, Contains("must be of type f16, f32 or bf16 for a policy that reads keys"));
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

TEST_CASE("a request below one update says that nothing was dropped yet", "[preload][attach]") {
  const std::string model = model_file();
  const Outcome early = attached(model, {"eval:0:30:1", "step:0:3:2"}, kEvicting);
  CHECK_THAT(early.err, Contains("nothing was dropped yet: 33 tokens are below one update of 64 tokens (--interval)"));
  const Outcome late = attached(model, {"eval:0:100:1", "step:0:3:2"}, kEvicting), full = attached(model, {"eval:0:30:1"});
  CHECK_THAT(late.err, !Contains("nothing was dropped yet"));
  CHECK_THAT(full.err, !Contains("nothing was dropped yet"));
}

TEST_CASE("a chat of twenty turns stays within the budget and its positions go on", "[preload][attach]") {
  const std::string model = model_file();
  const Folder folder;
  Words options = kEvicting;
  options.insert(options.end(), {"--stats", folder / "stats.jsonl"});
  Words actions = {"unified:2"};
  for (int turn = 0; turn < 20; ++turn) {
    actions.push_back("eval:0:32:" + std::to_string(turn));
    actions.push_back("step:0:16:" + std::to_string(100 + turn));
  }
  actions.insert(actions.end(), {"max:0", "logits"});
  const Outcome outcome = attached(model, actions, options);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out.rfind("959\n", 0) == 0);
  std::istringstream lines(read(folder / "stats.jsonl"));
  int turn = 0;
  for (std::string line; std::getline(lines, line); ++turn) {
    const auto request = nlohmann::json::parse(line);
    CAPTURE(turn, line);
    CHECK(request["slot"] == 0);
    CHECK(request["reused_tokens"] == 48 * turn);
    CHECK(request["prompt_tokens"] == 32);
    CHECK(request["tokens_seen"] == 48 * (turn + 1));
    // a quarter of what was seen at the last update, at least the protected tokens, and what came since (chunks of 32 and 1)
    const int seen = 48 * (turn + 1);
    CHECK(request["entries"].get<int>() <= 6 * (std::max(seen / 4, 20) + 64 + 32));
    if (seen >= 480) CHECK(request["entries"].get<int>() < 6 * seen / 2);
  }
  CHECK(turn == 20);
}

TEST_CASE("what turns a text came in leaves no trace in the statistics", "[preload][attach]") {
  const std::string model = model_file();
  const Words options = {"--policy", GENERATE("h2o-mean", "snapkv"), "--budget", "25%", "--interval", "48"};
  Words chat = {"unified:2"}, text = chat;
  for (int turn = 0; turn < 12; ++turn) {
    chat.push_back("turn:0:48:" + std::to_string(turn));
    text.push_back("eval:0:48:" + std::to_string(turn));
  }
  chat.push_back("logits");
  text.push_back("logits");
  CHECK(apart(attached(model, chat, options), attached(model, text, options)) < 1e-3);
}

TEST_CASE("attach: what is missing is named", "[preload][attach]") {
  check_refused(run_program({"attach", "--policy", "full"}), 2, {"program: must be given behind '--'"});
  check_refused(run_program({"attach", "--policy", "h2o-mean", "--", "true"}), 2, {"--budget", "must be given"});
  CHECK_THAT(run_program({"attach", "--", "true"}).err, !Contains("--budget"));  // the policy `default`, which has one
  check_refused(run_program({"attach", "--policy", "full", "--", "/nowhere/program"}), 1, {"/nowhere/program", "cannot"});
  check_refused(run_program({"attach", "--policy", "full", "--stats", "/nowhere/file", "--", "true"}), 1,
                {"--stats", "writable"});
}
