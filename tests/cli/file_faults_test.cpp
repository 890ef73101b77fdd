// Every file that a command writes, on a disk that fills up, in a folder that becomes read-only, with syncs and renames that
// fail: one line, code 1, nothing half under its name, and afterwards the same bytes as if nothing had happened. The same where
// the process is killed between any two of these calls, or in the middle of a write; at random instants:
// experiments/endurance/kill_anywhere.py.
#include <csignal>
#include <functional>

#include "tests/support/faults.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

struct Command {
  std::string name;
  std::function<Words(const std::string& folder)> begin;
  std::function<Words(const std::string& folder)> go_on;  ///< what is done after a fault; may be the same as `begin`
  std::vector<std::string> files;                         ///< that have to be the same
};

/// Times, rates and memory differ between any two runs.
std::string comparable(const fs::path& file) {
  if (file.extension() != ".jsonl") return read(file);
  std::string out;
  for (nlohmann::json line : parse_lines(read(file))) {
    for (const char* name : {"prefill_tokens_per_second", "decode_tokens_per_second", "seconds", "peak_rss_bytes"})
      line.erase(name);
    out += line.dump() + "\n";
  }
  return out;
}

std::vector<std::string> contents(const Command& command, const std::string& folder) {
  std::vector<std::string> out;
  for (const std::string& file : command.files) out.push_back(comparable(fs::path(folder) / file));
  return out;
}

/// Whatever has its final name is whole: JSON that can be read to its end, lines that end. Who is killed leaves more.
void check_whole(const fs::path& folder, bool killed = false) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string(), content = read(entry.path());
    CAPTURE(name);
    CHECK((killed || name.find(".tmp.") == std::string::npos));
    if (killed && (name.find(".tmp.") != std::string::npos || name.ends_with(".jsonl"))) continue;
    if (name.ends_with(".json")) CHECK(nlohmann::json::accept(content));
    if (name.ends_with(".jsonl")) CHECK((content.empty() || content.back() == '\n'));
  }
}

constexpr int kMostCalls = 2000;  ///< that one command makes: beyond, it is not the faults that fail

[[maybe_unused]] void check_faults(const Command& command) {
  const Folder folder;
  const std::string whole = folder / "whole";
  fs::create_directories(whole);
  REQUIRE(run_program(command.begin(whole)).code == 0);
  const std::vector<std::string> expected = contents(command, whole);
  for (const std::string& content : expected) CHECK_FALSE(content.empty());
  int happened = 0;
  std::vector<const char*> kinds(std::begin(kFaults), std::end(kFaults));
  kinds.push_back(kKill);
  for (const char* const kind : kinds)
    for (int at = 1;; at += fault_step()) {
      const bool killed = kind == kKill;
      const std::string place = folder / (std::string(kind) + std::to_string(at));
      CAPTURE(command.name, kind, at);
      const FaultyOutcome faulty = with_fault(kind, at, place, [&] { return run_program(command.begin(place)); });
      CAPTURE(faulty.outcome.out, faulty.outcome.err);
      if (!faulty.happened) {
        CHECK(faulty.outcome.code == 0);
        break;
      }
      ++happened;
      CHECK(faulty.outcome.code == (killed ? 128 + SIGKILL : 1));
      if (!killed) {
        CHECK(faulty.outcome.err.starts_with("namm: "));
        CHECK(std::count(faulty.outcome.err.begin(), faulty.outcome.err.end(), '\n') == 1);
        CHECK_THAT(faulty.outcome.err, Contains(place));
      }
      check_whole(place, killed);
      const Outcome after = run_program(command.go_on(place));
      CAPTURE(after.err);
      CHECK(after.code == 0);
      CHECK(contents(command, place) == expected);
      check_whole(place);
      REQUIRE(at < kMostCalls);
    }
  CAPTURE(command.name);
  CHECK(happened >= 2);  // the faults do happen
}

}  // namespace

#ifndef NAMM_ASAN  // its library would have to come first
TEST_CASE("evolve: a fault of any file costs one line, and the run goes on to the same bytes", "[faults]") {
  NAMM_NEED_HOST(host);
  const auto begin = [&](const std::string& folder) -> Words {
    return {"evolve", "--model",      host, "--tasks",   "passkey",  "--length",     "64",  "--generations",
            "1",      "--population", "4",  "--prompts", "1",        "--budget",     "50%", "--validation",
            "1",      "--interval",   "32", "--quiet",   "--output", folder + "/run"};
  };
  const auto go_on = [&](const std::string& folder) -> Words {
    if (!fs::exists(folder + "/run/checkpoint.json")) return begin(folder);
    return {"evolve", "--quiet", "--resume", folder + "/run"};
  };
  check_faults({"evolve", begin, go_on, {"run/policy.json", "run/checkpoint.json", "run/log.jsonl"}});
}

TEST_CASE("calibrate: the same", "[faults]") {
  NAMM_NEED_HOST(host);
  const auto begin = [&](const std::string& folder) -> Words {
    return {"calibrate", "--model",      host, "--texts", "2",        "--length",
            "64",        "--save-every", "0",  "--quiet", "--output", folder + "/probe"};
  };
  const auto go_on = [&](const std::string& folder) -> Words {
    if (!fs::exists(folder + "/probe/calibration.state")) return begin(folder);
    return {"calibrate", "--quiet", "--resume", folder + "/probe"};
  };
  check_faults({"calibrate", begin, go_on, {"probe/policy.json", "probe/run.json"}});
}

TEST_CASE("trace: the same", "[faults]") {
  NAMM_NEED_HOST(host);
  const auto words = [&](const std::string& option, const std::string& file) -> Words {
    return {"trace",        "--model", host,     "--tasks", "passkey",      "--length", "64",      "--prompts", "1",
            "--validation", "1",       "--keys", "none",    "--statistics", "sums",     "--quiet", option,      file};
  };
  const auto begin = [&](const std::string& folder) { return words("--output", folder + "/a.trace"); };
  const auto go_on = [&](const std::string& folder) {
    return fs::exists(folder + "/a.trace") ? words("--resume", folder + "/a.trace") : begin(folder);
  };
  check_faults({"trace", begin, go_on, {"a.trace"}});
}

TEST_CASE("eval: the same, for results and details", "[faults]") {
  NAMM_NEED_HOST(host);
  const auto begin = [&](const std::string& folder) -> Words {
    return {"eval",    "--model",  host,     "--policy",          "h2o",       "--tasks",
            "passkey", "--length", "64",     "--interval",        "32",        "--samples",
            "1",       "--quiet",  "--json", folder + "/r.jsonl", "--details", folder + "/d.jsonl"};
  };
  const auto go_on = [&](const std::string& folder) {
    Words words = begin(folder);
    words.push_back("--resume");
    return words;
  };
  check_faults({"eval", begin, go_on, {"r.jsonl", "d.jsonl"}});
}

TEST_CASE("pages and what is written at the end: the same, by the same command", "[faults]") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  REQUIRE(run_program({"eval", "--model", host, "--policy", "h2o", "--tasks", "passkey", "--length", "64", "--samples", "1",
                       "--quiet", "--json", folder / "r.jsonl"})
              .code == 0);
  const auto page = [&](const std::string& place) -> Words {
    return {"report", folder / "r.jsonl", "--output", place + "/page.html"};
  };
  check_faults({"report", page, page, {"page.html"}});
  const auto facts = [&](const std::string& place) -> Words { return {"inspect", host, "--json", place + "/facts.json"}; };
  check_faults({"inspect", facts, facts, {"facts.json"}});
}
#endif
