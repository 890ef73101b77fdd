#include "eval/resume.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/fingerprint.hpp"
#include "eval/fingerprint.hpp"
#include "eval/model_fingerprint.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using namespace namm::eval;
using namespace namm::test;

namespace {

ResultRecord measured(const std::string& policy, const std::string& memory) {
  ResultRecord out;
  out.model = "m.gguf";
  out.architecture = "llama";
  out.policy = policy;
  out.task = "passkey";
  out.budget = "25%";
  out.mode = "uniform";
  out.length_tokens = 700;
  out.samples = 6;
  out.seed = 7;
  out.interval_tokens = 128;
  out.memory = memory;
  out.settings = {{"split", "test"}, {"compress", "chunked"}, {"store", "f16"}};
  return out;
}

CachePolicy linear(float weight) {
  CachePolicy out;
  std::unique_ptr<Policy> policy = make_policy("linear");
  policy->set_parameters(std::vector<float>(policy->parameter_count(), weight));
  out.policy = std::move(policy);
  return out;
}

}  // namespace

TEST_CASE("resume: a row is found by policy, task, length, budget, mode and interval") {
  const Folder folder;
  const ResultRecord one = measured("h2o", "aaaa");
  write(folder / "r.jsonl", to_json(one).dump() + "\n");
  const EarlierResults earlier(folder / "r.jsonl", one);
  REQUIRE(earlier.find(one) != nullptr);
  const auto changed = [&](auto change) {
    ResultRecord other = one;
    change(other);
    return earlier.find(other);
  };
  CHECK(changed([](ResultRecord& r) { r.policy = "tova"; }) == nullptr);
  CHECK(changed([](ResultRecord& r) { r.task = "vt"; }) == nullptr);
  CHECK(changed([](ResultRecord& r) { r.length_tokens = 701; }) == nullptr);
  CHECK(changed([](ResultRecord& r) { r.budget = "50%"; }) == nullptr);
  CHECK(changed([](ResultRecord& r) { r.mode = "pooled"; }) == nullptr);
  CHECK(changed([](ResultRecord& r) { r.interval_tokens = 64; }) == nullptr);
  CHECK(EarlierResults(folder / "none.jsonl", one).find(one) == nullptr);
}

TEST_CASE("resume: another policy of the same name is refused, and so is a record that does not tell its content") {
  const Folder folder;
  write(folder / "r.jsonl", to_json(measured("default", "aaaa")).dump() + "\n");
  const EarlierResults earlier(folder / "r.jsonl", measured("default", "bbbb"));
  CHECK_THROWS_WITH(earlier.find(measured("default", "bbbb")), Contains("same policies") && Contains("default"));
  write(folder / "old.jsonl", to_json(measured("default", "")).dump() + "\n");
  const EarlierResults old(folder / "old.jsonl", measured("default", "bbbb"));
  CHECK_THROWS_WITH(old.find(measured("default", "bbbb")), Contains("same policies"));
}

TEST_CASE("resume: another model, seed, number of prompts or setting is another evaluation") {
  const Folder folder;
  const ResultRecord one = measured("h2o", "aaaa");
  write(folder / "r.jsonl", to_json(one).dump() + "\n");
  const auto refused = [&](const std::string& name, auto change) {
    ResultRecord other = one;
    change(other);
    CHECK_THROWS_WITH(EarlierResults(folder / "r.jsonl", other), Contains("\"" + name + "\""));
  };
  refused("model", [](ResultRecord& r) { r.model = "n.gguf"; });
  refused("seed", [](ResultRecord& r) { r.seed = 8; });
  refused("samples", [](ResultRecord& r) { r.samples = 5; });
  refused("split", [](ResultRecord& r) { r.settings["split"] = "train"; });
  refused("data", [](ResultRecord& r) { r.settings["data"] = "0123"; });
}

TEST_CASE("fingerprint: of a memory it is the policy's content, its statistics and what is protected, not the budget") {
  const CachePolicy one = linear(0.25f);
  const std::string mine = memory_fingerprint(one);
  CHECK(mine.size() == 16);
  CHECK(mine.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(memory_fingerprint(linear(0.25f)) == mine);
  CHECK(memory_fingerprint(linear(0.5f)) != mine);
  CachePolicy other = linear(0.25f);
  other.selection.budget = parse_budget("12.5%");
  CHECK(memory_fingerprint(other) == mine);
  other.selection.recent += 1;
  CHECK(memory_fingerprint(other) != mine);
  other = linear(0.25f);
  other.spectrogram.decay *= 0.5f;
  CHECK(memory_fingerprint(other) != mine);
  CHECK(memory_fingerprint({}) != mine);
}

TEST_CASE("fingerprint: FNV-1a as published, of a file the same as of its text") {
  CHECK(fingerprint("") == "cbf29ce484222325");
  CHECK(fingerprint("a") == "af63dc4c8601ec8c");
  CHECK(fingerprint("foobar") == "85944171f73967e8");
  const Folder folder;
  const std::string text(200'000, 'x');
  write(folder / "text", text);
  CHECK(file_fingerprint(folder / "text") == fingerprint(text));
  CHECK(haystack_fingerprint("file:" + (folder / "text")) == fingerprint(text));
  CHECK(haystack_fingerprint("prose") == "prose");
  CHECK_THROWS_WITH(file_fingerprint(folder / "none"), Contains("cannot be read"));
}

TEST_CASE("fingerprint: of a model it goes with its content, its parts, and is kept for a file that stays as it is") {
  const Folder folder;
  REQUIRE(setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1) == 0);
  const std::string weights(100'000, 'w');
  write(folder / "m.gguf", weights);
  const std::string before = model_fingerprint(folder / "m.gguf");
  CHECK(before == fingerprint(weights));
  std::filesystem::path kept;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache/namm/models")) kept = entry.path();
  CHECK(read(kept.string()) == before + "\n");
  write(kept.string(), "0123456789abcdef\n");
  CHECK(model_fingerprint(folder / "m.gguf") == "0123456789abcdef");  // not read again
  write(kept.string(), "no fingerprint\n");
  CHECK(model_fingerprint(folder / "m.gguf") == before);
  std::string zeroed = weights;
  std::fill_n(zeroed.begin() + 40'000, 20'000, '\0');
  write(folder / "m.gguf", zeroed);
  CHECK(model_fingerprint(folder / "m.gguf") == fingerprint(zeroed));

  write(folder / "s-00001-of-00002.gguf", "one");
  CHECK_THROWS_WITH(model_fingerprint(folder / "s-00001-of-00002.gguf"), Contains("s-00002-of-00002.gguf"));
  write(folder / "s-00002-of-00002.gguf", "two");
  const std::string split = model_fingerprint(folder / "s-00001-of-00002.gguf");
  write(folder / "s-00002-of-00002.gguf", "2nd");
  CHECK(model_fingerprint(folder / "s-00001-of-00002.gguf") != split);

  write(folder / "cache2", "a file where a folder should be");
  REQUIRE(setenv("XDG_CACHE_HOME", (folder / "cache2").c_str(), 1) == 0);
  CHECK(model_fingerprint(folder / "m.gguf") == fingerprint(zeroed));
}
