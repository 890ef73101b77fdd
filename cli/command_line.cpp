#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "base/json_limits.hpp"
#include "base/nearest_names.hpp"
#include "base/version.hpp"
#include "cli/command.hpp"
#include "cli/failure.hpp"
#include "namm/command_line.hpp"

namespace namm::cli {
namespace {

constexpr Command kCommands[] = {
#ifdef NAMM_WITH_LLAMA
    {"evolve", "evolves a memory policy for a model", run_evolve},
    {"calibrate", "fits a policy to a model in minutes, without labels", run_calibrate},
    {"tune", "makes the best policy it can for a model and a budget: all of the above and below in one", run_tune},
#endif
    {"average", "writes the mean of the policies of several runs", run_average},
#ifdef NAMM_WITH_LLAMA
    {"trace", "records what policies read and what is looked back at, for evolution without the model", run_trace},
    {"eval", "policies x tasks x budgets: quality and savings beside the full cache", run_eval},
    {"run", "generates with a policy attached; prints the text, then the savings", run_run},
    {"attach", "runs an unmodified llama.cpp program with a policy attached", run_attach},
    {"bench", "what the kernels and an attached policy cost on this machine", run_bench},
#endif
#ifdef NAMM_WITH_LLAMA
    {"policies", "the policies that were made for your models and are kept on this machine", run_policies},
#endif
    {"report", "tables from results and runs", run_report},
    {"inspect", "says what a model, policy, run or result file is", run_inspect},
#ifdef NAMM_WITH_LLAMA
    {"prompts", "prints the prompts of a task as JSON lines", run_prompts},
#endif
    {"completion", "prints the completion of a shell", run_completion},
    {"man", "writes the man pages", run_man},
};

void print_usage(std::ostream& out) {
  out << "namm " << version() << ": evolved memory policies for the KV cache of language models\n\n"
      << "Usage: namm COMMAND [options]\n\n";
  for (const Command& command : kCommands)
    out << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.summary << '\n';
  out << "\n'namm COMMAND --help' prints what a command needs, --help-all every option; 'namm --version' the version.\n"
      << "Exit codes: 0 done, 1 failed, 2 wrong usage.\n";
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_usage(words.empty() ? std::cerr : std::cout);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version") {
    std::cout << "namm " << version() << " (" << commit() << ", llama.cpp " << llama_version() << ")\n";
    return 0;
  }
  for (const Command& command : kCommands)
    if (command.name == words[0]) return command.run({words.begin() + 1, words.end()});
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  std::string all;
  for (const std::string_view name : names) all.append(all.empty() ? "" : ", ").append(name);
  const std::string meant = probable_name(words[0], names);
  throw std::invalid_argument("no command '" + detail::one_line(words[0]) + "'; " +
                              (meant.empty() ? "" : "did you mean '" + meant + "'? ") + "commands: " + all);
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace namm::cli

int namm::run_command_line(int argc, const char* const* argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("namm"));
  spdlog::set_pattern("namm: %v");
  spdlog::set_level(spdlog::level::warn);
  try {
    const int code = cli::dispatch({argv + 1, argv + argc});
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("standard output: cannot be written (full disk or closed pipe)");
    return code;
  } catch (...) {
    return cli::print_failure();
  }
}
