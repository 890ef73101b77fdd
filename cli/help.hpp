#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/options.hpp"

namespace namm::cli {

/// What a command is: the source of its help text, its man page and its completion.
struct CommandHelp {
  std::string name;   ///< "eval"
  std::string usage;  ///< "namm eval --model FILE --policy A,B [options]"
  std::string about;  ///< what it does, a few lines
  struct Group {
    std::string title;
    po::options_description options;
  };
  std::vector<Group> groups;  ///< every option once; the first group is what most calls need, and all that --help shows
  struct Example {
    std::string_view what, line;
  };
  std::span<const Example> examples;
};

/// Sorts the options of a command into its groups.
CommandHelp make_help(const std::string& usage, const std::string& about, const po::options_description& options);

/// --help, or --help-all with the groups behind the first.
void print_help(std::ostream& out, const CommandHelp& help, bool all);

/// Asks a command for its help in place of running it.
CommandHelp help_of(const Command& command);
/// For parse(): takes the help if help_of() waits for it.
bool hand_over(const CommandHelp& help);

}  // namespace namm::cli
