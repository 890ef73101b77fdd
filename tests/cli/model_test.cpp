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
    check_refused(run_program({"run", "--model", cut, "--prompt", "hello"}), 1, {"cut.gguf"});
    check_refused(run_program({"inspect", cut}), 1, {"cut.gguf", "cut off"});
  }
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
