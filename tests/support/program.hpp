#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/check.hpp"

namespace namm::test {

/// What a run of the built program came to.
struct Outcome {
  int code = -1;  ///< exit code; 128 + signal if it was killed
  std::string out, err;
};

struct Surroundings {
  std::string input;                        ///< standard input
  std::filesystem::path output;             ///< standard output goes there instead of into Outcome::out
  long largest_file_bytes = -1;             ///< RLIMIT_FSIZE: writing beyond it fails as on a full disk
  std::vector<std::string> launcher = {};   ///< words in front of the program, the first looked up in PATH
  std::function<void(int)> meanwhile = {};  ///< called with the process's id while it runs
};

/// Runs `namm ARGUMENTS...`. Progress and colour are off, as for anything that is not a terminal.
Outcome run_program(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});

/// Exit code `code`, exactly one line on stderr, which has "namm: " in front and contains all of `parts`; nothing on stdout.
void check_refused(const Outcome& outcome, int code, const std::vector<std::string>& parts);

/// A folder of its own, empty, gone at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  /// Names in it, sorted, to see that nothing was left behind.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

std::string read(const std::filesystem::path& path);
/// Lines of JSON, as `namm` writes its results.
std::vector<nlohmann::json> parse_lines(const std::string& text);
void write(const std::filesystem::path& path, const std::string& content);

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
