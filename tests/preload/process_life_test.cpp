// How programs end, and what they must not be able to do with what they are started with.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/preload/attached.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;
namespace fs = std::filesystem;

namespace {

Words with_stats(const std::string& path) {
  Words out = kEvicting;
  out.insert(out.end(), {"--stats", path});
  return out;
}

/// plain_program under the name of one of llama.cpp's, in `folder`.
std::string renamed(const Folder& folder, const char* name) {
  std::string path = folder / name;
  fs::copy_file(NAMM_PLAIN_PROGRAM, path);
  return path;
}

Outcome attached_as(const std::string& program, const Words& actions) {
  Words words = {"attach"};
  words.insert(words.end(), kEvicting.begin(), kEvicting.end());
  words.insert(words.end(), {"--", program, model_file()});
  words.insert(words.end(), actions.begin(), actions.end());
  return run_program(words);
}

}  // namespace

TEST_CASE("a program that exits without freeing its context has its last request reported", "[preload][attach][exit]") {
  const std::string model = model_file();
  std::vector<Words> ways = {{"leave"}};
#ifndef NAMM_TSAN  // whose OpenMP tool does not outlive a fork
  ways.push_back({"fork", "leave"});
#endif
  for (const Words& way : ways) {
    const Folder folder;
    Words actions = {"eval:0:40:1", "step:0:5:2"};
    actions.insert(actions.end(), way.begin(), way.end());
    const Outcome outcome = attached(model, actions, with_stats(folder / "stats.jsonl"));
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains("request 1") && Contains("40 tokens read") && Contains("5 generated"));
    const auto records = parse_lines(read(folder / "stats.jsonl"));
    REQUIRE(records.size() == 1);
    CHECK(records[0]["generated_tokens"] == 5);
  }
}

TEST_CASE("a slow exit and an exit while another thread evaluates end as they do alone", "[preload][attach][exit]") {
  const std::string model = model_file();
  const Outcome slow = attached(model, {"slow", "eval:0:40:1", "step:0:5:2", "leave"}, kEvicting);
  CHECK(slow.code == 0);
  CHECK_THAT(slow.err, Contains("request 1"));
  for (int i = 0; i < 3; ++i) {
    const Outcome decoding = attached(model, {"eval:0:40:1", "step:0:5:2", "leave_decoding"}, kEvicting);
    CAPTURE(decoding.err);
    CHECK(decoding.code == 0);
  }
}

TEST_CASE("statistics go to files alone", "[preload][attach]") {
  const Folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const Outcome outcome =
      run_program({"attach", "--policy", "full", "--stats", fifo, "--", NAMM_PLAIN_PROGRAM, model_file()}, within_seconds(20));
  check_refused(outcome, 1, {"--stats", "must be a file, is a FIFO", "tail -f"});
  // one that takes the file's place later does not stop the program, either
  const Outcome later = run_program(
      {"attach", "--policy", "full", "--stats", folder / "file", "--", "sh", "-c",
       "rm \"$2\"; mkfifo \"$2\"; exec \"$0\" \"$1\" eval:0:40:1 step:0:5:2", NAMM_PLAIN_PROGRAM, model_file(), folder / "file"},
      within_seconds(20));
  CHECK(later.code == 0);
  CHECK_THAT(later.err, Contains("is a FIFO"));
}

TEST_CASE("a draft that cannot be taken back costs its request, not the server", "[preload][attach]") {
  const Folder folder;
  const Words actions = {"eval:0:128:1", "cut:0:100", "step:0:1:2", "rm:0", "eval:0:8:3", "max:0"};
  const Outcome server = attached_as(renamed(folder, "llama-server"), actions);
  CAPTURE(server.err);
  CHECK(server.out == "failed -3\n7\n");  // llama-server ends itself where a cut fails
  CHECK_THAT(server.err, Contains("drafted tokens") && Contains("--spec-type none"));
  const Outcome other = attached_as(NAMM_PLAIN_PROGRAM, actions);  // falls back to reading anew
  CHECK(other.out == "failed cut\n7\n");
}

TEST_CASE("a server that something else started is checked, too", "[preload][attach]") {
  const Folder folder;
  const std::string server = renamed(folder, "llama-server");
  const auto script = [&](const std::string& before, const Words& more) {
    Words words = {"attach", "--policy",   "full",      "--", "sh", "-c", before + "exec \"$0\" \"$@\"",
                   server,   model_file(), "eval:0:4:1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words);
  };
  CHECK(script("", {}).code == 0);
  const Outcome bare = script("unset LLAMA_ARG_FLASH_ATTN LLAMA_ARG_CTX_CHECKPOINTS; ", {});
  CHECK(bare.code == 4);
  CHECK_THAT(bare.err, Contains("must be started with -fa on -ctxcp 0"));
  const Outcome drafts = script("", {"--spec-type", "ngram-mod"});
  CHECK(drafts.code == 4);
  CHECK_THAT(drafts.err, Contains("--spec-type: must be none"));
}
