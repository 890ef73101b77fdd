// The real program under the real mpirun: the same bytes as alone, and what is left when a rank is killed.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/support/program.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;

namespace {

const std::vector<std::string> kFiles = {"checkpoint.json", "log.jsonl", "policy.json"};

std::vector<std::string> small_run(const std::string& host, const std::string& folder_option, const std::string& folder) {
  return {"evolve", "--model",      host, "--tasks",   "passkey",     "--length", "64",  "--generations",
          "12",     "--population", "4",  "--prompts", "1",           "--budget", "50%", "--validation",
          "2",      "--interval",   "32", "--quiet",   folder_option, folder};
}

std::vector<std::string> contents(const Folder& folder, const std::string& run) {
  std::vector<std::string> out;
  for (const std::string& file : kFiles) out.push_back(read(std::filesystem::path(folder / run) / file));
  return out;
}

#ifdef NAMM_MPIRUN
Surroundings ranks(int count) {
  Surroundings out;
  out.launcher = {"env",
                  "OMPI_ALLOW_RUN_AS_ROOT=1",
                  "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                  "OMPI_MCA_rmaps_base_oversubscribe=1",
                  "OMPI_MCA_hwloc_base_binding_policy=none",
                  "OMPI_MCA_odls_base_sigkill_timeout=0",
                  "ASAN_OPTIONS=detect_leaks=0",  // MPI's own, where tests run with sanitizers
                  NAMM_MPIRUN,
                  "-n",
                  std::to_string(count)};
  return out;
}

/// The newest child of a process, 0 if it has none.
pid_t child_of(pid_t parent) {
  pid_t newest = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string stat = read(entry.path() / "stat");  // "pid (name) state parent ..."
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 4 >= stat.size()) continue;
    if (std::atoi(stat.c_str() + name_end + 4) == parent) newest = std::max(newest, static_cast<pid_t>(std::atoi(stat.c_str())));
  }
  return newest;
}
#endif

}  // namespace

TEST_CASE("evolve on 1, 2 and 4 ranks writes the same bytes; killed, it goes on to the same bytes") {
  NAMM_NEED_HOST(host);
#ifndef NAMM_MPIRUN
  WARN("no MPI: libopenmpi-dev and openmpi-bin are needed");
#else
  const Folder folder;
  REQUIRE(run_program(small_run(host, "--output", folder / "alone")).code == 0);
  const std::vector<std::string> alone = contents(folder, "alone");
  CHECK_FALSE(alone.front().empty());
#ifdef NAMM_ASAN
  const std::vector<int> counts = {2};  // instrumented programs take their time
#else
  const std::vector<int> counts = {1, 2, 4};
#endif
  for (const int count : counts) {
    CAPTURE(count);
    const std::string name = std::to_string(count);
    const Outcome outcome = run_program(small_run(host, "--output", folder / name), ranks(count));
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 2);  // rank 0's, nobody else's
    CHECK(contents(folder, name) == alone);
  }

  Surroundings killing = ranks(3);
  killing.meanwhile = [&](int mpirun) {
    const std::filesystem::path log = std::filesystem::path(folder / "killed") / "log.jsonl";
    for (int i = 0; i < 4000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
      const std::string lines = read(log);
      if (std::count(lines.begin(), lines.end(), '\n') < 2) continue;
      const pid_t rank = child_of(mpirun);
      REQUIRE(rank > 0);
      ::kill(rank, SIGKILL);
      return;
    }
    FAIL("no second line in the log after 20 s");
  };
  const Outcome killed = run_program(small_run(host, "--output", folder / "killed"), killing);
  CAPTURE(killed.err, killed.out);
  CHECK(killed.code != 0);
  CHECK(contents(folder, "killed") != alone);
  CHECK(run_program(small_run(host, "--resume", folder / "killed"), ranks(2)).code == 0);
  CHECK(contents(folder, "killed") == alone);
#endif
}

TEST_CASE("a stage on a trace and a semi-live one: the same bytes for any number of workers and ranks") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string trace = folder / "t.trace";
  REQUIRE(run_program({"trace", "--model", host, "--output", trace, "--tasks", "passkey", "--length", "200", "--prompts", "2",
                       "--validation", "1", "--statistics", "sums", "--keys", "none"})
              .code == 0);
  nlohmann::json config = {{"model", host}, {"population", 20},         {"generations", 2},
                           {"prompts", 2},  {"budget", {"50%", "25%"}}, {"interval", 128}};
  config["stages"] = {{{"traces", trace}},
                      {{"fitness", "semi-live"}, {"tasks", {"passkey", "kv-recall"}}, {"length", 200}, {"validation", 2}}};
  write(folder / "run.json", config.dump());
  const auto evolve = [&](const std::string& name, const std::string& workers, const Surroundings& surroundings) {
    const Outcome outcome = run_program(
        {"evolve", "--config", folder / "run.json", "--output", folder / name, "--workers", workers, "--quiet"}, surroundings);
    CAPTURE(name, outcome.err);
    REQUIRE(outcome.code == 0);
    std::vector<std::string> bytes = contents(folder, name + "/stage-1"), later = contents(folder, name + "/stage-2");
    bytes.insert(bytes.end(), later.begin(), later.end());
    return bytes;
  };
  const std::vector<std::string> alone = evolve("alone", "1", {});
  CHECK_FALSE(alone.back().empty());
  CHECK(evolve("workers", "2", {}) == alone);
#ifdef NAMM_MPIRUN
  CHECK(evolve("ranks", "1", ranks(2)) == alone);
#endif
}

TEST_CASE("ranks with different instruction sets are refused at the start, in one line") {
  NAMM_NEED_HOST(host);
#ifdef NAMM_MPIRUN
  const Folder folder;
  const std::vector<std::string> words = small_run(host, "--output", folder / "run");
  Surroundings one = ranks(1);
  one.launcher.insert(one.launcher.end() - 2, "--quiet");
  one.launcher.insert(one.launcher.end(), {"env", "-u", "NAMM_ISA"});
  std::vector<std::string> both = words;  // and a second rank of the same program with another environment
  both.insert(both.end(), {":", "-n", "1", "env", "NAMM_ISA=scalar", NAMM_PROGRAM});
  both.insert(both.end(), words.begin(), words.end());
  check_refused(run_program(both, one), 1,
                {"rank 1 on ", "rank 0's instruction set (", "uses scalar", "NAMM_ISA=scalar on all ranks"});
  CHECK_FALSE(std::filesystem::exists(folder / "run/checkpoint.json"));
#endif
}

TEST_CASE("what is wrong under mpirun is said once") {
#ifdef NAMM_MPIRUN
  Surroundings two = ranks(2);
  two.launcher.insert(two.launcher.end() - 2, "--quiet");
  check_refused(run_program({"evolve", "--model", "missing.gguf", "--output", "unused"}, two), 1,
                {"missing.gguf", "no such file"});
#endif
}
