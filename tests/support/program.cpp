#include "tests/support/program.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <regex>

#include "core/policy_file.hpp"
#include "namm/policy.hpp"

namespace namm::test {
namespace {

/// Lines of progress come every few seconds: on a busy machine where there are none on an idle one.
std::string without_progress(const std::string& text) {
  static const std::regex line("namm: [^\n]*  [0-9]+/[0-9]+  [0-9]+ %  [0-9:?]+ left\n");
  return std::regex_replace(text, line, "");
}

void redirect(const std::string& path, int flags, int to) {
  const int file = ::open(path.c_str(), flags, 0644);
  if (file < 0 || ::dup2(file, to) < 0) ::_exit(120);
}

}  // namespace

Outcome run_program(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  const Folder folder;
  write(folder / "in", surroundings.input);
  const std::string out = surroundings.output.empty() ? folder / "out" : surroundings.output.string();
  const std::string data = surroundings.data.empty() ? folder / "data" : surroundings.data.string();
  std::vector<char*> words;
  for (const std::string& word : surroundings.launcher) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(const_cast<char*>(NAMM_PROGRAM));
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    redirect(folder / "in", O_RDONLY, 0);
    redirect(out, O_WRONLY | O_CREAT, 1);
    redirect(folder / "err", O_WRONLY | O_CREAT, 2);
    if (surroundings.largest_file_bytes >= 0) {
      const auto limit = static_cast<rlim_t>(surroundings.largest_file_bytes);
      const rlimit both = {limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &both);
      std::signal(SIGXFSZ, SIG_IGN);  // write() then fails with EFBIG
    }
    ::setenv("XDG_DATA_HOME", data.c_str(), 1);
    ::execvp(words.front(), words.data());
    ::_exit(121);
  }
  if (surroundings.meanwhile) surroundings.meanwhile(child);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  Outcome result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (surroundings.output.empty()) result.out = read(out);
  result.err = without_progress(read(folder / "err"));
  return result;
}

void check_refused(const Outcome& outcome, int code, const std::vector<std::string>& parts) {
  CAPTURE(outcome.out, outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.rfind("namm: ", 0) == 0);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK((!outcome.err.empty() && outcome.err.back() == '\n'));
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(outcome.err.find(part) != std::string::npos);
  }
}

std::string test_host() {
  const char* const named = std::getenv("NAMM_TEST_HOST");
  const std::string path = named ? named : std::string(NAMM_SOURCE_DIR) + "/experiments/hosts/jamba-recall.gguf";
  return std::filesystem::exists(path) ? path : std::string();
}

void write_policy(const std::filesystem::path& path) {
  std::unique_ptr<Policy> policy = make_policy("linear");
  std::vector<float> weights(policy->parameter_count());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.125f * static_cast<float>(i % 7) - 0.3f;
  policy->set_parameters(weights);
  PolicyFile file;
  file.policy = std::move(policy);
  file.selection.budget = parse_budget("25%");
  save_policy_file(path, file);
}

void evolve_into(const std::string& host, const std::string& folder) {
  const Outcome outcome = run_program({"evolve", "--model", host, "--tasks", "passkey", "--length", "64", "--generations", "2",
                                       "--population", "4", "--prompts", "1", "--budget", "50%", "--output", folder, "--quiet"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
}

}  // namespace namm::test
