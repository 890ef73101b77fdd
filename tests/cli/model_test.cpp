#include <cstdint>
#include <cstring>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

/// The same refusal from every command that opens a model.
void check_all_refuse(const std::string& model, const std::vector<std::string>& parts) {
  const Folder folder;
  check_refused(run_program({"run", "--model", model, "--prompt", "hello"}), 1, parts);
  check_refused(run_program({"eval", "--model", model, "--policy", "h2o", "--json", folder / "out.jsonl"}), 1, parts);
  check_refused(run_program({"evolve", "--model", model, "--tasks", "passkey", "--output", folder / "run"}), 1, parts);
  CHECK(folder.names().empty());
}

}  // namespace

TEST_CASE("a missing model is refused") {
  check_all_refuse("/no/such/model.gguf", {"/no/such/model.gguf", "no such file", "--model"});
  check_refused(run_program({"inspect", "/no/such/model.gguf"}), 1, {"/no/such/model.gguf", "does not exist"});
}

TEST_CASE("a file that is no model is refused") {
  const Folder folder;
  write(folder / "model.gguf", "PK\x03\x04 this is an archive");
  check_all_refuse(folder / "model.gguf", {"model.gguf", "must be a GGUF file"});
  write(folder / "empty.gguf", "");
  check_all_refuse(folder / "empty.gguf", {"empty.gguf", "must be a GGUF file"});
  check_all_refuse(folder.path().string(), {folder.path().string(), "is a folder"});
}

TEST_CASE("a truncated model is refused wherever it is cut") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string whole = read(host), cut = folder / "cut.gguf";
  for (const std::size_t length : {std::size_t{4}, std::size_t{10}, std::size_t{24}, std::size_t{300}, whole.size() / 100,
                                   whole.size() / 2, whole.size() - 1}) {
    CAPTURE(length);
    write(cut, whole.substr(0, length));
    const Outcome run = run_program({"run", "--model", cut, "--prompt", "hello"}), inspect = run_program({"inspect", cut});
    check_refused(inspect, 1, {"cut.gguf", "cut off"});
    check_refused(run, 1, {"cut.gguf"});
    if (length > 4) CHECK(run.err == inspect.err);  // one fault, one message
  }
}

TEST_CASE("a model that llama.cpp cannot load is refused with its own reason") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::string content = read(host);
  const std::size_t at = content.find("jamba");  // the value of general.architecture
  REQUIRE(at != std::string::npos);
  write(folder / "odd.gguf", content.replace(at, 5, "jumba"));
  check_all_refuse(folder / "odd.gguf", {"odd.gguf", "llama.cpp cannot load it", "unknown model architecture: 'jumba'"});
}

TEST_CASE("a chat template that llama.cpp does not recognise is left out, and that is said and recorded") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::string content = read(host);
  const auto number = [](auto value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
  const std::string key = "tokenizer.chat_template", text = "{{ an odd template }}";
  const std::string pair =
      number(std::uint64_t{key.size()}) + key + number(std::int32_t{8}) + number(std::uint64_t{text.size()}) + text;
  REQUIRE(pair.size() % 32 == 0);  // what is behind it is aligned
  std::int64_t pairs = 0;
  std::memcpy(&pairs, content.data() + 16, sizeof pairs);
  content.replace(16, sizeof pairs, number(pairs + 1));
  write(folder / "odd.gguf", content.insert(24, pair));
  const std::string odd = folder / "odd.gguf";
  const Outcome run = run_program({"run", "--model", odd, "--max-tokens", "2", "--prompt", "a garden"});
  CHECK(run.code == 0);
  CHECK_THAT(run.err, Contains("chat template that llama.cpp does not recognise") && Contains("--no-chat"));
  CHECK(run_program({"run", "--model", odd, "--no-chat", "--max-tokens", "2", "--prompt", "a garden"}).err.empty());
  const Outcome eval = run_program({"eval", "--model", odd, "--policy", "h2o", "--tasks", "passkey", "--length", "64",
                                    "--samples", "1", "--json", folder / "r.jsonl"});
  CHECK_THAT(eval.err, Contains("does not recognise"));
  CHECK_THAT(read(folder / "r.jsonl"), Contains("\"chat_template\":false"));
  CHECK_THAT(run_program({"inspect", odd}).out, Contains("chat template known") && Contains("no"));
}

TEST_CASE("a damaged header is refused or read, never a crash") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string whole = read(host), bad = folder / "bad.gguf";
  unsigned state = 12345;
  const auto next = [&state] { return state = state * 1664525u + 1013904223u; };
  for (int i = 0; i < 40; ++i) {
    std::string content = whole;
    for (int k = 0; k < 4; ++k) content[4 + next() / 256 % (i % 2 == 0 ? 60 : 4000)] = static_cast<char>(next() >> 24);
    write(bad, content);
    const Outcome outcome = run_program({"inspect", bad});
    CAPTURE(i, outcome.err);
    CHECK((outcome.code == 0 || outcome.code == 1));
    if (outcome.code == 1) check_refused(outcome, 1, {"bad.gguf"});
  }
}
