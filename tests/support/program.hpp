#pragma once
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/check.hpp"
#include "tests/support/folder.hpp"

namespace namm::test {

/// What a run of the built program came to.
struct Outcome {
  int code = -1;         ///< exit code; 128 + signal if it was killed
  std::string out, err;  ///< without lines of progress
};

struct Surroundings {
  std::string input;                        ///< standard input
  std::filesystem::path output;             ///< standard output goes there instead of into Outcome::out
  long largest_file_bytes = -1;             ///< RLIMIT_FSIZE: writing beyond it fails as on a full disk
  std::vector<std::string> launcher = {};   ///< words in front of the program, the first looked up in PATH
  std::function<void(int)> meanwhile = {};  ///< called with the process's id while it runs
  std::filesystem::path data = {};  ///< XDG_DATA_HOME; without it a folder of the call's own: kept policies are nobody else's
};

/// Ended after so many seconds, with code 124: what might wait for ever.
inline Surroundings within_seconds(int seconds) {
  Surroundings out;
  out.launcher = {"timeout", std::to_string(seconds)};
  return out;
}

/// An argument list made longer.
inline std::vector<std::string> with(std::vector<std::string> words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more);
  return words;
}

/// Runs `namm ARGUMENTS...`. Progress and colour are off, as for anything that is not a terminal.
Outcome run_program(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});

/// Exit code `code`, exactly one line on stderr, which has "namm: " in front and contains all of `parts`; nothing on stdout.
void check_refused(const Outcome& outcome, int code, const std::vector<std::string>& parts);

/// The embedded host, or NAMM_TEST_HOST; "" if it is not there, and then the test says so and ends.
std::string test_host();
#define NAMM_NEED_HOST(name)                                                           \
  const std::string name = ::namm::test::test_host();                                  \
  if (name.empty()) {                                                                  \
    WARN("no model: experiments/hosts/jamba-recall.gguf or NAMM_TEST_HOST is needed"); \
    return;                                                                            \
  }

/// Stores a policy file of the kind `linear` with weights that differ.
void write_policy(const std::filesystem::path& path);
/// A small finished run of evolution in `folder`.
void evolve_into(const std::string& host, const std::string& folder);

}  // namespace namm::test
