#include "tests/preload/attached.hpp"

#include <cmath>
#include <cstdio>
#include <sstream>

#include "tests/support/tiny_model.hpp"

namespace namm::test {

Outcome attached(const std::string& model, const Words& actions, const Words& options) {
  Words words = {"attach"};
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"--", NAMM_PLAIN_PROGRAM, model});
  words.insert(words.end(), actions.begin(), actions.end());
  return run_program(words);
}

Outcome run_command(const Words& words) {
  std::string command;
  for (const std::string& word : words) command += "'" + word + "' ";
  Outcome out;
  FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe);
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) out.out.append(part, n);
  out.code = ::pclose(pipe);
  return out;
}

Outcome alone(const std::string& model, const Words& actions) {
  Words words = {NAMM_PLAIN_PROGRAM, model};
  words.insert(words.end(), actions.begin(), actions.end());
  return run_command(words);
}

std::vector<std::vector<double>> numbers(const Outcome& outcome) {
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.code == 0);
  std::vector<std::vector<double>> out;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    out.emplace_back();
    for (double x; words >> x;) out.back().push_back(x);
  }
  return out;
}

double apart(const Outcome& a, const Outcome& b) {
  const auto x = numbers(a), y = numbers(b);
  REQUIRE(x.size() == y.size());
  double difference = 0, top = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    REQUIRE(x[i].size() == y[i].size());
    REQUIRE(x[i].size() == 64);
    for (std::size_t j = 0; j < 64; ++j) {
      difference = std::max(difference, std::abs(x[i][j] - y[i][j]));
      top = std::max(top, std::abs(x[i][j]));
    }
  }
  return difference / top;
}

std::string model_file() {
  return write_tiny_model({}).string();
}

}  // namespace namm::test
