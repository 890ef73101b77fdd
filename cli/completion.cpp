#include <algorithm>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "cli/command.hpp"
#include "cli/completion_words.hpp"
#include "cli/help.hpp"
#include "cli/options.hpp"

namespace namm::cli {
namespace {

/// "--policy -p" of an option.
std::string spellings(const po::option_description& option) {
  std::string out("--");
  out += option.long_name();
  const std::string short_name = option.canonical_display_name(po::command_line_style::allow_dash_for_short);
  if (short_name.size() == 2 && short_name[0] == '-') out.append(" ").append(short_name);
  return out;
}

constexpr const char* kBashHelpers = R"(# bash completion of namm; made by: namm completion bash
_namm_list() {  # words behind the last comma of the word under way
  local typed="${cur%"${cur##*,}"}"
  COMPREPLY=($(compgen -P "$typed" -W "$1" -- "${cur##*,}"))
  compopt -o nospace 2> /dev/null
}
_namm_files() {  # list: behind the last comma
  local typed=""
  [ "$1" = list ] && typed="${cur%"${cur##*,}"}"
  COMPREPLY+=($(compgen -P "$typed" -f -- "${cur#"$typed"}"))
  compopt -o filenames 2> /dev/null
}
_namm() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="" command="${COMP_WORDS[1]}" i
  [ "$COMP_CWORD" -gt 0 ] && prev="${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
)";

/// Offers what may stand behind an option.
std::string bash_values(const CompletionWords& words) {
  std::string out;
  const std::string names = joined(words.words, " ");
  if (words.list && !names.empty())
    out.append("_namm_list \"").append(names).append("\"");
  else if (!names.empty())
    out.append("COMPREPLY=($(compgen -W \"").append(names).append("\" -- \"$cur\"))");
  if (words.files) out.append(out.empty() ? "" : "; ").append(words.list ? "_namm_files list" : "_namm_files");
  return out.empty() ? "return" : out + "; return";
}

std::string bash_completion() {
  std::ostringstream out;
  std::string names;
  for (const Command& command : commands()) names.append(names.empty() ? "" : " ").append(command.name);
  out << kBashHelpers << "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"" << names
      << " --help --version\" -- \"$cur\"))\n    return\n  fi\n  case \"$command\" in\n";
  for (const Command& command : commands()) {
    std::string all, values;
    for (const CommandHelp::Group& group : help_of(command).groups)
      for (const auto& option : group.options.options()) {
        const std::string words = spellings(*option);
        all.append(all.empty() ? "" : " ").append(words);
        std::string pattern = words;
        std::replace(pattern.begin(), pattern.end(), ' ', '|');
        if (const CompletionWords known = completion_words(command.name, *option); known.value)
          values.append("        ").append(pattern).append(") ").append(bash_values(known)).append(" ;;\n");
      }
    out << "    " << command.name << ")\n";
    if (command.name == "attach")
      out << "      for ((i = 2; i < COMP_CWORD; i++)); do [ \"${COMP_WORDS[i]}\" = -- ] && { _namm_files; return; }; done\n";
    out << "      case \"$prev\" in\n"
        << values << "      esac\n      if [[ \"$cur\" == -* ]]; then\n        "
        << "COMPREPLY=($(compgen -W \"" << all << "\" -- \"$cur\"))\n      else\n        "
        << (command.name == "completion" ? "COMPREPLY=($(compgen -W \"bash zsh\" -- \"$cur\"))" : "_namm_files")
        << "\n      fi ;;\n";
  }
  out << "  esac\n}\ncomplete -F _namm namm\n";
  return out.str();
}

/// For a description in single quotes and brackets.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

/// A word inside an action in single quotes: a colon would end the action, other signs are the shell's.
std::string zsh_word(const std::string& word) {
  static constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+%,";
  std::string out;
  for (const char c : word) {
    if (kPlain.find(c) == std::string_view::npos) out += '\\';
    out += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return out;
}

std::string zsh_option(std::string_view command, const po::option_description& option) {
  const std::string words = spellings(option);
  std::string description("[");
  description.append(zsh_text(option.description())).append("]");
  const CompletionWords known = completion_words(command, option);
  std::string action;
  if (known.value) {
    action.append(":").append(option.long_name()).append(":");
    std::string names;
    for (const std::string& word : known.words) names.append(names.empty() ? "" : " ").append(zsh_word(word));
    if (known.files && known.list)
      action.append("{_namm_list ").append(names).append("}");
    else if (known.files && !names.empty())
      action.append("{_alternative \"words\\:name\\:(").append(names).append(")\" \"files\\:file\\:_files\"}");
    else if (known.files)
      action += "_files";
    else if (known.list && !names.empty())
      action.append("{_values -s , name ").append(names).append("}");
    else
      action.append("(").append(names).append(")");
  }
  std::string out("'");
  if (words.find(' ') == std::string::npos) return out.append(words).append(description).append(action).append("'");
  std::string either = words;
  std::replace(either.begin(), either.end(), ' ', ',');
  return out.append("(").append(words).append(")'{").append(either).append("}'").append(description).append(action).append("'");
}

constexpr const char* kZshHelpers = R"(#compdef namm
# zsh completion of namm; made by: namm completion zsh
_namm_list() {  # behind the last comma of the word under way: names, which are the arguments, and files
  local -a names=("$@")
  compset -P '*,'
  _alternative 'words:name:compadd -q -S , -a names' 'files:file:_files -q -S ,'
}
_namm() {
  local -a commands=(
)";

std::string zsh_completion() {
  std::ostringstream out;
  out << kZshHelpers;
  for (const Command& command : commands())
    out << "    '" << command.name << ":" << zsh_text(std::string(command.summary)) << "'\n";
  out << "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      << "  local command=\"$words[2]\"\n  shift words; (( CURRENT-- ))\n  case \"$command\" in\n";
  for (const Command& command : commands()) {
    out << "    " << command.name << ")\n      _arguments -s \\\n";
    for (const CommandHelp::Group& group : help_of(command).groups)
      for (const auto& option : group.options.options()) out << "        " << zsh_option(command.name, *option) << " \\\n";
    out << "        " << (command.name == "completion" ? "'*:shell:(bash zsh)'" : "'*:file:_files'") << " ;;\n";
  }
  out << "  esac\n}\n_namm \"$@\"\n";
  return out.str();
}

}  // namespace

int run_completion(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  options.add_options()("files", po::value<std::vector<std::string>>()->required()->value_name("SHELL"),
                        "bash or zsh; the name of the option may be left out");
  add_general(options);
  po::positional_options_description positional;
  positional.add("files", -1);
  const auto values = parse(arguments, options, "namm completion bash|zsh",
                            "Prints the completion of a shell: commands, options, and what may stand behind them.", positional);
  if (!values) return 0;
  const std::vector<std::string> shells = files_from(*values);
  if (shells.size() != 1 || (shells.front() != "bash" && shells.front() != "zsh"))
    throw std::invalid_argument("shell: must be bash or zsh, is \"" + joined(shells, " ") + "\"; name one");
  std::cout << (shells.front() == "bash" ? bash_completion() : zsh_completion());
  return 0;
}

}  // namespace namm::cli
