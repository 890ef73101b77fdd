#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm::cli {

/// One command of the program: a file of this folder and a line of main.cpp.
struct Command {
  std::string_view name;
  std::string_view summary;
  /// Arguments behind the command's name. Returns the exit code; throws std::invalid_argument for wrong usage (2) and any other
  /// exception for failures (1).
  int (*run)(const std::vector<std::string>& arguments);
};

int run_calibrate(const std::vector<std::string>& arguments);
int run_evolve(const std::vector<std::string>& arguments);
int run_average(const std::vector<std::string>& arguments);
int run_trace(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
int run_attach(const std::vector<std::string>& arguments);
int run_run(const std::vector<std::string>& arguments);
int run_inspect(const std::vector<std::string>& arguments);
int run_report(const std::vector<std::string>& arguments);
int run_tune(const std::vector<std::string>& arguments);
int run_policies(const std::vector<std::string>& arguments);
int run_prompts(const std::vector<std::string>& arguments);
int run_completion(const std::vector<std::string>& arguments);
int run_man(const std::vector<std::string>& arguments);

/// All commands of this build, in the order of the program's help.
std::span<const Command> commands();

}  // namespace namm::cli
