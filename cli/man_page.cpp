#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/version.hpp"
#include "cli/command.hpp"
#include "cli/help.hpp"

namespace namm::cli {
namespace {

/// Text for troff: nothing in it is a command, and dashes can be copied.
std::string troff(const std::string& text) {
  std::string out;
  bool begins = true;  // of a line
  for (const char c : text) {
    if (begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    begins = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

void print_head(std::ostream& out, const std::string& title) {
  out << ".TH " << upper(title) << " 1 \"\" \"namm " << version() << "\" \"namm\"\n";
}

std::string command_page(const Command& command) {
  const CommandHelp help = help_of(command);
  std::ostringstream out;
  print_head(out, "namm-" + help.name);
  out << ".SH NAME\nnamm\\-" << troff(help.name) << " \\- " << troff(std::string(command.summary)) << "\n.SH SYNOPSIS\n.B "
      << troff(help.usage) << "\n.SH DESCRIPTION\n"
      << troff(help.about) << '\n';
  for (const CommandHelp::Group& group : help.groups) {
    out << ".SH " << upper(group.title) << '\n';
    for (const auto& option : group.options.options()) {
      out << ".TP\n.B " << troff(option->format_name());
      if (const std::string value = option->format_parameter(); !value.empty()) out << ' ' << troff(value);
      out << '\n' << troff(option->description()) << '\n';
    }
  }
  out << ".SH EXAMPLES\n";
  for (const CommandHelp::Example& example : help.examples)
    out << ".PP\n" << troff(std::string(example.what)) << ":\n.PP\n.nf\n    " << troff(std::string(example.line)) << "\n.fi\n";
  out << ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH SEE ALSO\n.BR namm (1)\n";
  return out.str();
}

std::string program_page() {
  std::ostringstream out;
  print_head(out, "namm");
  out << ".SH NAME\nnamm \\- evolved memory policies for the KV cache of language models\n.SH SYNOPSIS\n.B namm COMMAND "
         "[options]\n"
         ".SH COMMANDS\n";
  for (const Command& command : commands())
    out << ".TP\n.BR namm\\-" << troff(std::string(command.name)) << " (1)\n" << troff(std::string(command.summary)) << '\n';
  out << ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n";
  return out.str();
}

}  // namespace

int run_man(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  const auto positional = add_files(options, "folder for namm.1 and a page for every command; made if it is not there");
  add_general(options);
  const auto values = parse(arguments, options, "namm man DIR", "Writes the man pages.", positional);
  if (!values) return 0;
  const std::vector<std::string> folders = files_from(*values);
  if (folders.size() != 1)
    throw std::invalid_argument("folder: must be one, are " + std::to_string(folders.size()) + "; name one");
  const std::filesystem::path folder = folders.front();
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw std::runtime_error(folder.string() + ": cannot be made: " + failed.message() + "; name another folder");
  write_file_atomically(folder / "namm.1", program_page());
  for (const Command& command : commands())
    write_file_atomically(folder / ("namm-" + std::string(command.name) + ".1"), command_page(command));
  if (!values->contains("quiet")) std::cout << commands().size() + 1 << " pages: " << folder.string() << '\n';
  return 0;
}

}  // namespace namm::cli
