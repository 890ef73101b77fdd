#include "cli/again.hpp"

namespace namm::cli {
namespace {

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

std::string again(std::string_view command, const std::vector<std::string>& arguments, const std::vector<std::string>& more,
                  const std::vector<std::pair<std::string, std::string>>& renamed) {
  std::string out("namm ");
  out += command;
  const auto add = [&](const std::string& word) { out.append(" ").append(quoted(word)); };
  for (std::string word : arguments) {
    for (const auto& [from, to] : renamed) {
      if (word == from) word = to;
      if (word.rfind(from + "=", 0) == 0) word.replace(0, from.size(), to);
    }
    add(word);
  }
  for (const std::string& word : more)
    if (!word.empty()) add(word);
  return out;
}

}  // namespace namm::cli
