#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

json inspected(const std::string& file) {
  const Folder folder;
  const Outcome outcome = run_program({"inspect", file, "--json", folder / "facts.json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(!outcome.out.empty());
  return json::parse(read(folder / "facts.json"));
}

/// The beginning of a GGUF file: these keys, no tensors.
class GgufText {
 public:
  GgufText& text(const std::string& key, const std::string& value) {
    string(key), number<std::int32_t>(8), string(value), ++keys_;
    return *this;
  }
  GgufText& count(const std::string& key, std::uint32_t value) {
    string(key), number<std::int32_t>(4), number(value), ++keys_;
    return *this;
  }
  GgufText& real(const std::string& key, float value) {
    string(key), number<std::int32_t>(6), number(value), ++keys_;
    return *this;
  }
  GgufText& counts(const std::string& key, const std::vector<std::int32_t>& values) {
    string(key), number<std::int32_t>(9), number<std::int32_t>(5), number<std::uint64_t>(values.size()), ++keys_;
    for (const std::int32_t value : values) number(value);
    return *this;
  }
  std::string content() const {
    GgufText head;
    head.number<std::uint32_t>(3), head.number<std::int64_t>(0), head.number<std::int64_t>(keys_);
    return "GGUF" + head.bytes_ + bytes_;
  }

 private:
  template <typename T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(const std::string& value) {
    number<std::uint64_t>(value.size());
    bytes_ += value;
  }
  std::string bytes_;
  std::int64_t keys_ = 0;
};

GgufText model(const std::string& architecture) {
  GgufText out;
  out.text("general.architecture", architecture);
  out.count(architecture + ".block_count", 8).count(architecture + ".embedding_length", 256);
  out.count(architecture + ".context_length", 4096);
  return out.count(architecture + ".attention.head_count", 4);
}

json facts_of(const GgufText& header) {
  const Folder folder;
  write(folder / "model.gguf", header.content());
  return inspected(folder / "model.gguf");
}

}  // namespace

TEST_CASE("models: which layers have a KV cache, and what a token costs") {
  const json plain = facts_of(model("llama").count("llama.attention.head_count_kv", 2));
  CHECK(plain["kind"] == "model");
  CHECK(plain["layers_with_kv_cache"] == 8);
  CHECK(plain["kv_bytes_per_token_f16"] == 8 * 2 * (64 + 64) * 2);
  CHECK(plain["policy_attaches"] == true);

  const json hybrid = facts_of(model("jamba").counts("jamba.attention.head_count_kv", {0, 0, 0, 2, 0, 0, 0, 2}));
  CHECK(hybrid["layers_with_kv_cache"] == 2);
  CHECK(hybrid["kv_cache_layers"] == json({3, 7}));
  CHECK(hybrid["policy_attaches"] == true);

  const json every_fourth = facts_of(model("qwen3next").count("qwen3next.attention.head_count_kv", 2));
  CHECK(every_fourth["kv_cache_layers"] == json({3, 7}));
}

TEST_CASE("models: why a policy cannot be attached") {
  const auto why = [](const GgufText& header) {
    const json facts = facts_of(header);
    CHECK(facts["policy_attaches"] == false);
    return facts["why_not"].get<std::string>();
  };
  CHECK(why(model("mamba")).find("recurrent") != std::string::npos);
  CHECK(why(model("rwkv7")).find("recurrent") != std::string::npos);
  CHECK(why(model("bert")).find("no KV cache") != std::string::npos);
  CHECK(why(model("deepseek2").count("deepseek2.attention.kv_lora_rank", 512)).find("latent") != std::string::npos);
  CHECK(why(model("bloom")).find("ALiBi") != std::string::npos);
  CHECK(why(model("mpt").real("mpt.attention.max_alibi_bias", 8)).find("ALiBi") != std::string::npos);
  CHECK(why(model("qwen2vl").counts("qwen2vl.rope.dimension_sections", {16, 24, 24, 0})).find("M-RoPE") != std::string::npos);
  CHECK(why(GgufText().text("general.type", "adapter")).find("adapter") != std::string::npos);
}

TEST_CASE("models: absurd headers are refused") {
  const Folder folder;
  const auto refused = [&](const std::string& content) {
    write(folder / "model.gguf", content);
    check_refused(run_program({"inspect", folder / "model.gguf"}), 1, {"model.gguf", "damaged"});
  };
  refused(model("llama").count("llama.block_count", 5).content());  // a key twice
  refused(GgufText().text("general.architecture", "llama").count("llama.block_count", 4000000000u).content());
  std::string content = model("llama").content();
  content.replace(16, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f");  // number of keys
  refused(content);
  content = model("llama").content();
  content.replace(24, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f");  // length of the first key
  refused(content);
}

TEST_CASE("policies, results, prompts and texts are recognised by their content") {
  const Folder folder;
  write_policy(folder / "some-name");
  const json policy = inspected(folder / "some-name");
  CHECK(policy["kind"] == "policy");
  CHECK(policy["policy"] == "linear");
  CHECK(policy["budget"] == "25%");
  CHECK(policy["parameters"].get<int>() > 0);

  write(folder / "prompts.jsonl", "{\"context\": \"a b\", \"question\": \"which?\", \"answers\": [\"b\"], \"task\": \"mine\"}\n");
  const json prompts = inspected(folder / "prompts.jsonl");
  CHECK(prompts["kind"] == "prompts");
  CHECK(prompts["tasks"]["mine"] == 1);

  write(folder / "text.txt", "Just a text.\nOf two lines.\n");
  CHECK(inspected(folder / "text.txt")["kind"] == "text");
  write(folder / "empty", "");
  const json shipped = inspected("default");
  CHECK(shipped["policy"] == "linear");
  CHECK(shipped["parameters"] == 9);
  CHECK(shipped["provenance"]["averaged"].size() == 3);
  check_refused(run_program({"inspect", "key-probe"}), 1, {"namm calibrate"});
  check_refused(run_program({"inspect", "no-such-name"}), 1, {"no-such-name", "no policy's name"});

  check_refused(run_program({"inspect", folder / "empty"}), 1, {"empty", "is empty"});
  check_refused(run_program({"inspect", folder.path().string()}), 1, {folder.path().string(), "checkpoint.json", "tune.json"});
  check_refused(run_program({"inspect", "/dev/null"}), 1, {"/dev/null", "must be a file"});
}

TEST_CASE("runs are recognised, and one bad file does not hide the others") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  evolve_into(host, folder / "run");
  const json run = inspected(folder / "run");
  CHECK(run["kind"] == "run folder");
  CHECK(run["generation"] == 2);
  CHECK(run["settings"]["strategy"] == "cma");
  CHECK(inspected(folder / "run/checkpoint.json")["kind"] == "checkpoint");
  CHECK(inspected(folder / "run/policy.json")["kind"] == "policy");
  CHECK(inspected(host)["policy_attaches"] == true);

  const Outcome mixed = run_program({"inspect", "/no/such/file", folder / "run/policy.json"});
  CHECK(mixed.code == 1);
  CHECK(mixed.out.find("linear") != std::string::npos);
  CHECK(mixed.err.find("/no/such/file") != std::string::npos);
}

TEST_CASE("JSON that is nested too deep to be copied is refused, not a crash") {
  const Folder folder;
  const std::string deep = "{\"a\":" + std::string(100'000, '[');
  for (const char* name : {"deep.json", "deep.jsonl", "policy.json", "checkpoint.json"}) {
    CAPTURE(name);
    write(folder / name, deep);
    check_refused(run_program({"inspect", folder / name}), 1, {name});
  }
  check_refused(run_program({"inspect", folder.path().string()}), 1, {"checkpoint.json", "32 levels"});
}

TEST_CASE("a split model counts all of its parts, and says which is missing") {
  const Folder folder;
  const auto part = [](std::uint32_t number) {
    return model("llama").count("split.count", 2).count("split.no", number).content();
  };
  const std::string first = folder / "m-00001-of-00002.gguf", second = folder / "m-00002-of-00002.gguf";
  write(first, part(0));
  check_refused(run_program({"inspect", first}), 1, {"2 parts", "lacks m-00002-of-00002.gguf"});
  write(second, part(1));
  const json facts = inspected(first);
  CHECK(facts["files"] == 2);
  CHECK(facts["file_bytes"] == std::filesystem::file_size(first) + std::filesystem::file_size(second));
  check_refused(run_program({"inspect", second}), 1, {"first part", "is part 2 of 2"});
  write(folder / "other.gguf", part(0));
  check_refused(run_program({"inspect", folder / "other.gguf"}), 1, {"-00001-of-00002.gguf", "rename"});
}

TEST_CASE("a JSON array is not said to be damaged, but what to do with it") {
  const Folder folder;
  write(folder / "array.json", "[\n  {\"context\": \"a\"}\n]\n");
  check_refused(run_program({"inspect", folder / "array.json"}), 1, {"is a JSON array", "one object per line", "jq -c '.[]'"});
}

TEST_CASE("inspect default shows fields, never a piece of JSON, and of several runs in what they differ") {
  const std::string out = run_program({"inspect", "default"}).out;
  CAPTURE(out);
  CHECK_THAT(out, Contains("averaged") && Contains("as 1 but for") && Contains("seed"));
  CHECK(out.find('{') == std::string::npos);
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() < 300);
}
