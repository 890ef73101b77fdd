#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

std::vector<std::string> evolve_words(const std::string& host, const std::string& folder) {
  return {"evolve",       "--model", host,        "--tasks", "passkey",  "--length", "64",      "--generations", "2",
          "--population", "4",       "--prompts", "1",       "--budget", "50%",      "--quiet", "--output",      folder};
}

}  // namespace

TEST_CASE("an output that cannot be written is refused before anything is computed") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "file", "kept");
  check_refused(run_program(evolve_words(host, folder / "file/run")), 1, {"file/run", "must be"});
  check_refused(run_program(evolve_words(host, "/proc/run")), 1, {"/proc/run"});
  check_refused(run_program({"eval", "--model", host, "--policy", "h2o", "--tasks", "passkey", "--length", "64", "--samples", "1",
                             "--json", folder / "file/out.jsonl"}),
                1, {"file/out.jsonl"});
  CHECK(read(folder / "file") == "kept");
  CHECK(folder.names() == std::vector<std::string>{"file"});
}

TEST_CASE("a folder with another run is refused and stays as it is") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  evolve_into(host, folder / "run");
  const std::string checkpoint = read(folder / "run/checkpoint.json"), log = read(folder / "run/log.jsonl");
  CHECK(!checkpoint.empty());
  check_refused(run_program(evolve_words(host, folder / "run")), 1, {"run", "another run", "resume"});
  CHECK(read(folder / "run/checkpoint.json") == checkpoint);
  CHECK(read(folder / "run/log.jsonl") == log);

  SECTION("a checkpoint cut in half is refused by every command and left alone") {
    const std::string half = checkpoint.substr(0, checkpoint.size() / 2);
    write(folder / "run/checkpoint.json", half);
    check_refused(run_program({"evolve", "--model", host, "--tasks", "passkey", "--length", "64", "--population", "4",
                               "--prompts", "1", "--budget", "50%", "--generations", "3", "--resume", folder / "run"}),
                  1, {"checkpoint.json", "must be JSON, is cut off after"});
    check_refused(run_program({"inspect", folder / "run"}), 1, {"checkpoint.json", "must be JSON, is cut off after"});
    check_refused(run_program({"report", folder / "run"}), 1, {"checkpoint.json", "must be JSON, is cut off after"});
    CHECK(read(folder / "run/checkpoint.json") == half);
    CHECK(read(folder / "run/log.jsonl") == log);
  }
}

TEST_CASE("a full disk while a run is written is one line, and the last checkpoint still stands") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::filesystem::create_directory(folder / "disk");
  if (::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", 0, "size=32k") != 0) {
    WARN("no right to mount a small disk: checked with a file size limit only");
    return;
  }
  std::vector<std::string> words = evolve_words(host, folder / "disk/run");
  words[8] = "40";  // generations: the checkpoint grows until the disk is full
  const Outcome outcome = run_program(words);
  const Outcome look = run_program({"inspect", folder / "disk/run"});
  const std::vector<std::string> left = [&] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "disk/run"))
      names.push_back(entry.path().filename().string());
    return names;
  }();
  CHECK(::umount((folder / "disk").c_str()) == 0);
  check_refused(outcome, 1, {"disk/run", "No space left"});
  CAPTURE(look.err);
  CHECK(look.code == 0);
  for (const std::string& name : left) CHECK(name.find(".tmp") == std::string::npos);
}

TEST_CASE("a file that cannot grow is one line, and the old content stands") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings limited;
  limited.largest_file_bytes = 600;
  check_refused(run_program(evolve_words(host, folder / "run"), limited), 1, {"run", "could not be written"});
  CHECK(!std::filesystem::exists(folder / "run/policy.json"));

  write(folder / "report.md", "old report\n");
  const std::vector<std::string> eval = {"eval",
                                         "--model",
                                         host,
                                         "--policy",
                                         "h2o",
                                         "--tasks",
                                         "passkey",
                                         "--length",
                                         "64",
                                         "--samples",
                                         "2",
                                         "--json",
                                         folder / "results.jsonl"};
  REQUIRE(run_program(eval).code == 0);
  check_refused(run_program({"report", folder / "results.jsonl", "--output", folder / "report.md"}, limited), 1,
                {"report.md", "could not be written"});
  CHECK(read(folder / "report.md") == "old report\n");
  for (const std::string& name : folder.names()) CHECK(name.find(".tmp") == std::string::npos);
}

TEST_CASE("a full standard output is noticed") {
  Surroundings full;
  full.output = "/dev/full";
  check_refused(run_program({"--version"}, full), 1, {"standard output"});
  check_refused(run_program({"prompts", "--task", "passkey"}, full), 1, {"standard output"});
}

TEST_CASE("named FIFOs are refused, and not waited for") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto refused = [&](const std::vector<std::string>& words) {
    CAPTURE(words);
    check_refused(run_program(words, within_seconds(20)), 1, {"fifo", "is a FIFO"});
  };
  refused({"eval", "--model", host, "--policy", fifo});
  refused({"eval", "--model", host, "--policy", "h2o", "--data", fifo});
  refused({"eval", "--model", host, "--policy", "h2o", "--json", fifo});
  refused({"run", "--model", host, "--policy", "full", "--file", fifo});
  refused({"attach", "--policy", fifo, "--", "true"});
  refused({"report", fifo});
  // pipes without a name are files like any other
  Surroundings piped_in;
  piped_in.input = "a garden";
  const Outcome piped =
      run_program({"run", "--model", host, "--policy", "full", "--max-tokens", "2", "--file", "/dev/stdin"}, piped_in);
  CHECK(piped.code == 0);
}
