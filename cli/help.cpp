#include "cli/help.hpp"

#include <algorithm>
#include <optional>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "cli/help_groups.hpp"
#include "report/fit_width.hpp"

namespace namm::cli {
namespace {

constexpr unsigned kColumns = 100;

std::optional<CommandHelp>* waiting = nullptr;  // where help_of() wants it

/// The second word of "namm eval --model FILE [options]".
std::string name_of(const std::string& usage) {
  const std::size_t begin = usage.find(' ') + 1;
  return usage.substr(begin, usage.find(' ', begin) - begin);
}

}  // namespace

CommandHelp make_help(const std::string& usage, const std::string& about, const po::options_description& options) {
  CommandHelp out{name_of(usage), usage, about, {}, examples_of(name_of(usage))};
  for (const std::string_view title : help_titles()) {
    po::options_description group(std::string(title), kColumns);
    for (const auto& option : options.options())
      if (title_of(out.name, option->long_name()) == title) group.add(option);
    if (!group.options().empty()) out.groups.push_back({std::string(title), std::move(group)});
  }
  return out;
}

void print_help(std::ostream& out, const CommandHelp& help, bool all) {
  out << "Usage: " << help.usage << "\n\n";
  std::istringstream about(help.about);
  for (std::string line; std::getline(about, line);) out << report::wrapped(line, kColumns) << '\n';
  for (std::size_t i = 0; i < (all ? help.groups.size() : std::min<std::size_t>(1, help.groups.size())); ++i)
    out << '\n' << help.groups[i].options;
  if (!help.examples.empty()) out << "\nExamples:\n";
  for (const CommandHelp::Example& example : help.examples) out << "  # " << example.what << "\n  " << example.line << '\n';
  std::size_t hidden = 0;
  for (std::size_t i = 1; i < help.groups.size(); ++i) hidden += help.groups[i].options.options().size();
  if (!all && hidden > 0)
    out << "\n" << hidden << (hidden == 1 ? " more option" : " more options") << ": namm " << help.name << " --help-all\n";
}

CommandHelp help_of(const Command& command) {
  std::optional<CommandHelp> out;
  waiting = &out;
  command.run({"--help"});
  waiting = nullptr;
  if (!out) throw std::logic_error("help: command " + std::string(command.name) + " must parse its options first, does not");
  return std::move(*out);
}

bool hand_over(const CommandHelp& help) {
  if (waiting == nullptr) return false;
  waiting->emplace(help);
  return true;
}

}  // namespace namm::cli
