// The line in front of the program of `namm attach`.
#include <cstdlib>
#include <filesystem>

#include "tests/support/program.hpp"

using namespace namm::test;
namespace fs = std::filesystem;

TEST_CASE("attach: a forgotten -- is said, with the line as it should be") {
  check_refused(run_program({"attach", "llama-server", "-m", "X"}), 2,
                {"put -- before the program: `namm attach -- llama-server -m X`"});
  check_refused(run_program({"attach", "-b", "25%", "--policy=h2o", "--print", "llama-cli", "-p", "two words"}), 2,
                {"`namm attach -b 25% --policy=h2o --print -- llama-cli -p 'two words'`"});
  check_refused(run_program({"attach", "--polcy", "h2o", "llama-server"}), 2,
                {"'namm attach --help-all'", "--polcy", "--policy"});
  CHECK(run_program({"attach", "--help", "llama-server"}).code == 0);
}

TEST_CASE("attach: a program that is not there is said before anything else") {
  check_refused(run_program({"attach", "--", "llama-no-such-server", "-m", "X"}), 1,
                {"llama-no-such-server not found beside namm, in build/llama/bin and on the PATH", "setup.sh --with-server"});
  check_refused(run_program({"attach", "--", "no-such-program"}), 1,
                {"no-such-program not found on the PATH", "path behind '--'"});
  check_refused(run_program({"attach", "--", "lama-server", "-m", "X"}), 1, {"did you mean llama-server?"});
  check_refused(run_program({"attach", "--", "/nowhere/llama-server"}), 1, {"/nowhere/llama-server", "cannot be found"});
}

TEST_CASE("attach: one of llama.cpp's programs beside namm goes before one on the PATH") {
  const Folder folder;
  const fs::path beside = fs::path(folder / "beside"), on_path = fs::path(folder / "path");
  const auto script = [](const fs::path& place, const std::string& says) {
    fs::create_directories(place);
    write(place / "llama-says", "#!/bin/sh\necho " + says + " >&2\n");
    fs::permissions(place / "llama-says", fs::perms::owner_all);
  };
  script(beside, "beside");
  script(on_path, "path");
  for (const char* const file : {"namm", "libnamm_preload.so", "libnamm_module.so"})
    fs::copy_file(fs::path(NAMM_PROGRAM).parent_path() / file, beside / file);
  Surroundings copy;
  copy.launcher = {
      "env", "PATH=" + on_path.string() + ":/usr/bin:/bin", "sh", "-c", "shift; exec '" + (beside / "namm").string() + "' \"$@\"",
      "sh"};
  const std::vector<std::string> words = {"attach", "--policy", "full", "--", "llama-says"};
  CHECK_THAT(run_program(words, copy).err, Contains("beside\n"));
  Surroundings real;
  real.launcher = {"env", "PATH=" + on_path.string() + ":/usr/bin:/bin"};
  CHECK_THAT(run_program(words, real).err, Contains("path\n"));
}
