#include "cli/again.hpp"

#include <algorithm>

namespace namm::cli {
namespace {

bool runs_others = false;

std::string quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n\"'`\\$&|;<>()*?#~!{}[]") == std::string::npos) return word;
  std::string out("'");
  for (const char c : word)
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  return out + "'";
}

}  // namespace

std::string again(std::string_view command, const std::vector<std::string>& arguments, const std::vector<std::string>& more) {
  std::string out("namm ");
  out += command;
  const auto add = [&](const std::string& word) { out.append(" ").append(quoted(word)); };
  for (const std::string& word : arguments) add(word);
  for (const std::string& word : more)
    if (!word.empty()) add(word);
  return out;
}

RunsOthers::RunsOthers() {
  runs_others = true;
}

RunsOthers::~RunsOthers() {
  runs_others = false;
}

bool says_how_to_go_on() {
  return !runs_others;
}

std::vector<std::string> without(const std::vector<std::string>& arguments, const po::options_description& options,
                                 std::span<const std::string_view> dropped) {
  std::vector<std::string> out;
  for (const po::option& option : po::command_line_parser(arguments).options(options).style(option_style()).run().options)
    if (std::find(dropped.begin(), dropped.end(), option.string_key) == dropped.end())
      out.insert(out.end(), option.original_tokens.begin(), option.original_tokens.end());
  return out;
}

}  // namespace namm::cli
