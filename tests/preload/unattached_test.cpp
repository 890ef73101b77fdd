// Programs to which nothing is attached: an error, never a run that looks as if.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/preload/attached.hpp"

using namespace namm::test;
namespace fs = std::filesystem;

namespace {

Outcome attach(const Words& program) {
  Words words = {"attach", "--policy", "full", "--"};
  words.insert(words.end(), program.begin(), program.end());
  return run_program(words);
}

}  // namespace

TEST_CASE("a program without llama.cpp is an error at its end", "[preload][attach]") {
  const Outcome outcome = attach({"sh", "-c", "echo out"});
  CHECK(outcome.code == 1);
  CHECK(outcome.out == "out\n");  // what it printed is there
  CHECK_THAT(outcome.err, Contains("no policy was attached") && Contains("libllama.so"));
  CHECK(attach({"sh", "-c", "exit 3"}).code == 3);
  const Outcome list =
      attach({"ls", "/"});  // ends by exit(), where a shell may end by _exit(), and closes its standard error first
  CHECK(list.code == 1);
  CHECK_THAT(list.err, Contains("no policy was attached"));
}

TEST_CASE("a program that ends while it waits for input ends all the same, its files written", "[preload][attach]") {
  const Folder folder;
  const std::string file = folder / "file";
  const Outcome outcome = run_program({"attach", "--policy", "full", "--", NAMM_READING_PROGRAM, file}, within_seconds(20));
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("no policy was attached"));
  CHECK(fs::file_size(file) == 7);
}

TEST_CASE("what a script starts is attached to", "[preload][attach]") {
  const std::string model = model_file();
  const Outcome child = attach({"sh", "-c", "\"$0\" \"$1\" eval:0:4:1; true", NAMM_PLAIN_PROGRAM, model});
  CAPTURE(child.err);
  CHECK(child.code == 0);
  CHECK_THAT(child.err, Contains("policy full attached") && !Contains("no policy was attached"));
  const Outcome instead = attach({"sh", "-c", "exec \"$0\" \"$1\" eval:0:4:1", NAMM_PLAIN_PROGRAM, model});
  CHECK(instead.code == 0);
  const Outcome flags = attach({"sh", "-c", "echo $LLAMA_ARG_FLASH_ATTN $LLAMA_ARG_KV_OFFLOAD $LLAMA_ARG_CTX_CHECKPOINTS"});
  CHECK(flags.out == "on off 0\n");
}

TEST_CASE("llama.cpp inside the program is refused before it runs", "[preload][attach]") {
  const Outcome inside = attach({NAMM_INSIDE_PROGRAM});
  CHECK(inside.code == 1);
  CHECK(inside.out.empty());
  CHECK_THAT(inside.err, Contains("linked into the program statically") && Contains("BUILD_SHARED_LIBS=ON"));
  check_refused(attach({NAMM_STATIC_PROGRAM}), 1, {"must be linked dynamically", "is linked statically"});
}

TEST_CASE("a program that has nothing to attach to says itself why", "[preload][attach]") {
  const Outcome missing = attach({NAMM_PLAIN_PROGRAM, "/nowhere/model.gguf"});
  CHECK(missing.code == 3);
  CHECK(missing.err.empty());
  const Outcome idle = attach({NAMM_PLAIN_PROGRAM, model_file()});  // linked to llama.cpp, makes no context: --version, --help
  CHECK(idle.code == 0);
  CHECK(idle.err.empty());
}

TEST_CASE("a program with more rights than its user is refused", "[preload][attach]") {
  if (::geteuid() != 0) {
    WARN("only root can give a program to somebody else");
    return;
  }
  const Folder folder;
  const std::string program = folder / "plain";
  fs::copy_file(NAMM_PLAIN_PROGRAM, program);
  REQUIRE(::chown(program.c_str(), 65534, 65534) == 0);
  REQUIRE(::chmod(program.c_str(), 04755) == 0);
  check_refused(attach({program, model_file()}), 1, {"its user's rights", "set-user-ID bit", "cp PROGRAM COPY"});
}

TEST_CASE("a library that LD_PRELOAD cannot name is refused", "[preload][attach]") {
  const Folder folder;
  for (const char* const name : {"with blank", "with:colon"}) {
    const fs::path place = folder / name;
    fs::create_directory(place);
    for (const char* const file : {"namm", "libnamm_preload.so", "libnamm_module.so"})
      fs::copy_file(fs::path(NAMM_ATTACH_FOLDER) / file, place / file);
    const Outcome outcome = run_command({"sh", "-c", "\"$0\" attach --policy full -- \"$1\" \"$2\" eval:0:4:1 2>&1",
                                         (place / "namm").string(), NAMM_PLAIN_PROGRAM, model_file()});
    CHECK(outcome.code != 0);
    CHECK_THAT(outcome.out, Contains("without blanks and colons") && Contains(name));
  }
}
