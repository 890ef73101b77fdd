// Saved sessions with a policy attached: what comes back goes on as if it had never been away.
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/preload/attached.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm::test;

namespace {

const Words kBefore = {"eval:0:200:1", "step:0:10:2"};
const Words kAfter = {"eval:0:100:3", "logits", "step:0:8:4", "logits"};

Words words(std::initializer_list<Words> parts) {
  Words out;
  for (const Words& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

/// The same actions for another sequence; plain_program adds its number to the seed.
Words of_sequence_1(const Words& actions) {
  Words out;
  for (std::string action : actions) {
    if (const auto sequence = action.find(":0"); sequence != std::string::npos) action[sequence + 1] = '1';
    if (const auto seed = action.rfind(':'); action.starts_with("eval") || action.starts_with("step"))
      action = action.substr(0, seed + 1) + std::to_string(std::stoi(action.substr(seed + 1)) - 1);
    out.push_back(action);
  }
  return out;
}

}  // namespace

TEST_CASE("a restored sequence goes on bit for bit", "[preload][session]") {
  const Folder folder;
  const std::string file = folder / "session";
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma3", "jamba");
  const std::string model = write_tiny_model(shape).string();
  const std::string context = GENERATE("unified:2", "streams:2");
  const std::vector<Words> policies = {kEvicting,
                                       {"--policy", "full"},
                                       {"--policy", "snapkv", "--budget", "40", "--interval", "32"},
                                       words({kEvicting, {"--store", "q8_0"}}),
                                       words({kEvicting, {"--store", "q8_0,q4_0"}})};
  const Words policy = policies[static_cast<std::size_t>(GENERATE(0, 1, 2, 3))];
  CAPTURE(shape.architecture, context, policy);
  const Outcome straight = attached(model, words({{context}, kBefore, kAfter}), policy);
  const Outcome saved = attached(model, words({{context}, kBefore, {"save_file:0:" + file}, kAfter}), policy);
  REQUIRE(straight.code == 0);
  CHECK(saved.out == straight.out);  // saving changes nothing
  // another process, other cells, another sequence that had something else
  const Words restore = {context, "eval:0:30:7", "eval:1:50:8", "load_file:1:" + file};
  const Outcome restored = attached(model, words({restore, of_sequence_1(kAfter)}), policy);
  // of a window the runtime saves what is still seen; without the rest, sums are taken in another order
  if (shape.architecture == "gemma3")
    CHECK(apart(restored, straight) < 1e-6);
  else
    CHECK(restored.out == straight.out);
}

TEST_CASE("a restored context goes on bit for bit", "[preload][session]") {
  const Folder folder;
  const std::string file = folder / "session", model = model_file();
  const std::string context = GENERATE("unified:2", "streams:2");
  const Words before = {"eval:0:150:1", "eval:1:90:2", "step:0:5:3"}, after = {"step:1:70:4", "logits", "step:0:70:5", "logits"};
  const Outcome straight = attached(model, words({{context}, before, after}), kEvicting);
  CHECK(attached(model, words({{context}, before, {"save_file:-1:" + file}, after}), kEvicting).out == straight.out);
  CHECK(attached(model, words({{context, "eval:1:40:9", "load_file:-1:" + file}, after}), kEvicting).out == straight.out);
  CHECK(attached(model, words({{context}, before, {"save:-1", "eval:0:9:9", "load:-1"}, after}), kEvicting).out == straight.out);
}

TEST_CASE("a state holds what was kept, and memory alone is saved and restored", "[preload][session]") {
  TinyShape shape;
  shape.query_heads = shape.kv_heads = 6;
  shape.head_size = 64;
  const std::string model = write_tiny_model(shape).string();  // 4.6 kB per token
  const Words actions = {"eval:0:640:1", "save:0", "state_size"};
  const double full = numbers(attached(model, actions))[0][0], evicted = numbers(attached(model, actions, kEvicting))[0][0];
  CHECK(full > 640 * 4608);
  CHECK(full < 640 * 4608 * 1.1);
  CHECK(evicted < full * 0.4);
}

TEST_CASE("after a restore requests are counted on", "[preload][session]") {
  const Folder folder;
  const std::string model = model_file(), file = folder / "session";
  REQUIRE(attached(model, words({{"unified:2"}, kBefore, {"save_file:0:" + file}}), kEvicting).code == 0);
  const Outcome restored = attached(model, words({{"unified:2", "load_file:1:" + file}, of_sequence_1(kAfter)}), kEvicting);
  CHECK_THAT(restored.err, Contains("request 1, slot 1: 100 tokens read (210 more reused), 9 generated"));
}

TEST_CASE("what is no session for this policy and model is refused", "[preload][session]") {
  const Folder folder;
  const std::string model = model_file(), file = folder / "session";
  const auto refused = [&](const Outcome& outcome, const std::string& why) {
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.out == "failed load\n19\n");  // what the other sequence held is untouched
    CHECK_THAT(outcome.err, Contains(why));
  };
  const Words load = {"unified:2", "eval:0:20:1", "load_file:1:" + file, "max:0"};
  REQUIRE(attached(model, {"eval:0:100:1", "save_file:0:" + file}, kEvicting).out.empty());
  refused(attached(model, load), "must have been saved with the policy attached now (full");
  refused(attached(model, {"unified:2", "eval:0:20:1", "load_file:-1:" + file, "max:0"}, kEvicting), "is of one sequence");
  refused(attached(model, load, words({kEvicting, {"--store", "q8_0"}})), ", held as q8_0), was with h2o-mean");
  TinyShape wider;
  wider.head_size *= 2;
  refused(attached(write_tiny_model(wider).string(), load, kEvicting), "layers of another shape");
  CHECK(alone(model, {"load_file:0:" + file}).out == "failed count\n");  // llama.cpp does not know it
  const std::string whole = read(file);
  const std::size_t half = whole.size() / 2;
  const auto damaged = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary) << content;
    const Outcome outcome = attached(model, load, kEvicting);
    CAPTURE(outcome.err);
    CHECK(outcome.out == "failed count\n19\n");
    CHECK_THAT(outcome.err, Contains("checksum") && Contains("damaged"));
  };
  damaged(whole.substr(0, half));
  damaged(whole + '\0');
  std::string bent = whole;
  bent[24] = static_cast<char>(bent[24] ^ 1);  // one of the tokens
  damaged(bent);
  bent = whole;
  bent[whole.size() - 100] = static_cast<char>(bent[whole.size() - 100] ^ 64);
  damaged(bent);
  std::ofstream(file, std::ios::binary) << "NAMMSES1" << whole.substr(12);
  CHECK_THAT(attached(model, load, kEvicting).err, Contains("has none: it is of an earlier version"));
  REQUIRE(alone(model, {"eval:0:100:1", "save_file:0:" + file}).out.empty());
  const Outcome stock = attached(model, load, kEvicting);
  CHECK(stock.out == "failed count\n19\n");
  CHECK_THAT(stock.err, Contains("begins otherwise"));
  const Outcome nowhere = attached(model, {"eval:0:10:1", "save_file:0:/nowhere/session"});
  CHECK(nowhere.out == "failed save\n");
  CHECK_THAT(nowhere.err, Contains("/nowhere/session"));
}

TEST_CASE("a damaged state is refused", "[preload][session]") {
  const std::string model = model_file();
  const Outcome outcome =
      attached(model, {"unified:2", "eval:0:120:1", "save:0", "damage:1:300:5", "load:1", "max:1"}, kEvicting);
  REQUIRE(outcome.code == 0);
  std::istringstream lines(outcome.out);
  int refused = 0, newest = 0;
  lines >> refused >> newest;
  CHECK(refused == 300);
  CHECK(newest == 119);  // and the undamaged one still comes back
}

TEST_CASE("a FIFO among the sessions is refused and not waited for", "[preload][session]") {
  const Folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const Outcome outcome = run_program(
      {"attach", "--policy", "full", "--", NAMM_PLAIN_PROGRAM, model_file(), "eval:0:10:1", "load_file:0:" + fifo, "max:0"},
      within_seconds(20));
  CHECK(outcome.code == 0);
  CHECK(outcome.out == "failed count\n9\n");
  CHECK_THAT(outcome.err, Contains("must be a file that can be read"));
}
