#include "cli/attach_words.hpp"

#include <algorithm>
#include <stdexcept>

namespace namm::cli {
namespace {

/// As a shell takes it for one word.
std::string shell_word(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n\"'`\\$&|;<>()*?#~!{}[]") == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c == '\n' || c == '\t' ? ' ' : c);
  return out + "'";
}

/// The first word that is neither an option of ours nor the value of one; the end where parse() has to say what is wrong.
std::vector<std::string>::const_iterator first_bare_word(const std::vector<std::string>& words,
                                                         const po::options_description& options) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (word->empty() || word->front() != '-') return word;
    const bool with_value = word->find('=') != std::string::npos;
    const std::string dashed = word->substr(0, word->find('='));
    const auto* const option = options.find_nothrow(dashed.starts_with("--") ? dashed.substr(2) : dashed, false);
    if (option == nullptr || option->long_name() == "help") break;
    if (with_value || option->semantic()->max_tokens() == 0) continue;
    if (++word == words.end()) break;
  }
  return words.end();
}

}  // namespace

void check_separator(const std::vector<std::string>& arguments, const po::options_description& options) {
  if (std::find(arguments.begin(), arguments.end(), "--") != arguments.end()) return;
  const auto program = first_bare_word(arguments, options);
  if (program == arguments.end()) return;
  std::string line = "namm attach";
  for (auto word = arguments.begin(); word != arguments.end(); ++word)
    line += (word == program ? " -- " : " ") + shell_word(*word);
  throw std::invalid_argument("program: must stand behind '--', " + shell_word(*program) +
                              " does not; put -- before the program: `" + line + "`");
}

}  // namespace namm::cli
