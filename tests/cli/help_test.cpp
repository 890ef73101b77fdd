#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/program.hpp"

using namespace namm::test;

TEST_CASE("every command prints its help with defaults on stdout") {
  for (const char* command :
       {"evolve", "calibrate", "average", "trace", "eval", "run", "attach", "bench", "report", "inspect", "prompts"})
    for (const char* flag : {"--help", "-h"}) {
      CAPTURE(command, flag);
      const Outcome outcome = run_program({command, flag});
      CHECK(outcome.code == 0);
      CHECK(outcome.err.empty());
      CHECK(outcome.out.rfind(std::string("Usage: namm ") + command, 0) == 0);
      CHECK(outcome.out.find("--quiet") != std::string::npos);
    }
}

namespace {

/// The words of an example line: quotes are a shell's; what is behind a redirection is not the program's.
std::vector<std::string> example_words(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line)
    if (c == '"')
      quoted = !quoted;
    else if (c == ' ' && !quoted)
      out.emplace_back();
    else
      out.back() += c;
  out.resize(static_cast<std::size_t>(std::find(out.begin(), out.end(), ">") - out.begin()));
  return out;
}

std::vector<std::string> lines_in(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

/// All commands of the program.
std::vector<std::string> command_names() {
  std::vector<std::string> out;
  for (const std::string& line : lines_in(run_program({"--help"}).out))
    if (line.rfind("  ", 0) == 0) out.push_back(line.substr(2, line.find(' ', 2) - 2));
  return out;
}

/// "--name" of every option in a text.
std::set<std::string> options_in(const std::string& text) {
  std::set<std::string> out;
  static const std::regex option("--[a-z][a-z-]+[a-z]");
  for (std::sregex_iterator it(text.begin(), text.end(), option), end; it != end; ++it) out.insert(it->str());
  return out;
}

/// Options that begin a line of a help text, behind "-x [ " where there is a short name.
std::set<std::string> options_of(const std::string& command) {
  std::set<std::string> out;
  static const std::regex option("^  (-[a-zA-Z] \\[ )?(--[a-z-]+)");
  std::smatch found;
  for (const std::string& line : lines_in(run_program({command, "--help-all"}).out))
    if (std::regex_search(line, found, option)) out.insert(found[2]);
  return out;
}

}  // namespace

TEST_CASE("--help shows few options, --help-all all of them, in groups, and no line is wider than 100 characters") {
  for (const std::string& command : command_names()) {
    CAPTURE(command);
    const Outcome few = run_program({command, "--help"}), all = run_program({command, "--help-all"});
    CHECK(all.code == 0);
    std::size_t options = 0;
    for (const std::string& line : lines_in(few.out)) options += line.rfind("  -", 0) == 0 ? 1 : 0;
    CHECK(options >= 2);
    CHECK(options <= 14);
    if (command == "evolve" || command == "eval") {
      CHECK_THAT(all.out, Contains("Cache and policy:") && Contains("Prompts and texts:") && Contains("Model and machine:"));
      CHECK_THAT(few.out, !Contains("Cache and policy:") && Contains("more options: namm " + command + " --help-all"));
    }
    for (const std::string& line : lines_in(all.out)) {
      CAPTURE(line);
      if (line.rfind("  namm ", 0) != 0) CHECK(line.size() <= 130);
      if (line.rfind("  -", 0) == 0 || line.rfind("     ", 0) == 0) CHECK(line.size() <= 100);
    }
  }
}

TEST_CASE("what a command is about is told in whole sentences, one paragraph a line") {
  for (const std::string& command : command_names()) {
    CAPTURE(command);
    const std::string help = run_program({command, "--help"}).out;
    CHECK_THAT(help, !Contains("\n1 more options"));
    const std::size_t begin = help.find("\n\n") + 2;
    std::string line;
    for (const std::string& part : lines_in(help.substr(begin, help.find("\n\n", begin) - begin))) {
      CAPTURE(part);
      // a line that could have taken the first word of the next one ends a sentence
      const std::string word = part.substr(0, part.find(' '));
      if (!line.empty() && line.size() + 1 + word.size() <= 100) CHECK(line.back() == '.');
      line = part;
    }
  }
  CHECK_THAT(run_program({"man", "--help"}).out, Contains("\n1 more option: namm man --help-all"));
  const std::string attach = run_program({"attach", "--help"}).out;
  CHECK(attach.find("namm attach --policy probe/policy.json") < attach.find("h2o-mean"));  // the best way in comes first
}

TEST_CASE("every command has two examples, and every example in a help text parses") {
  const Folder folder;
  for (const std::string& command : command_names()) {
    const std::string help = run_program({command, "--help"}).out;
    std::size_t examples = 0;
    for (const std::string& line : lines_in(help)) {
      if (line.rfind("  namm ", 0) != 0) continue;
      ++examples;
      std::vector<std::string> words = example_words(line.substr(7));
      if (command == "bench") words.push_back("--small");
      if (command == "man") words = {"man", folder / "pages"};
      CAPTURE(line);
      const Outcome outcome = run_program(words);
      CAPTURE(outcome.err);
      CHECK(outcome.code != 2);  // wrong usage; files that are not there are another matter
    }
    CAPTURE(command);
    CHECK(examples == 2);
  }
}

TEST_CASE("every option is in the completions and in the man page of its command") {
  const Folder folder;
  const Outcome bash = run_program({"completion", "bash"}), zsh = run_program({"completion", "zsh"});
  REQUIRE(bash.code == 0);
  REQUIRE(zsh.code == 0);
  REQUIRE(run_program({"man", folder / "man1"}).code == 0);
  const std::vector<std::string> commands = command_names();
  CHECK(commands.size() >= 13);
  for (const std::string& command : commands) {
    CAPTURE(command);
    // from the command's line on to the next command's
    const auto part = [&](const std::string& text) {
      const std::size_t begin = text.find("\n    " + command + ")\n");
      REQUIRE(begin != std::string::npos);
      static const std::regex next("\n    [a-z]+\\)\n");
      const std::string rest = text.substr(begin + 2);
      std::smatch found;
      return std::regex_search(rest, found, next) ? rest.substr(0, static_cast<std::size_t>(found.position())) : rest;
    };
    std::string page = read(folder / ("man1/namm-" + command + ".1"));
    page = std::regex_replace(page, std::regex("\\\\-"), "-");
    const std::set<std::string> options = options_of(command);
    CHECK(options.size() >= 4);
    for (const std::string& option : options) {
      CAPTURE(option);
      CHECK(options_in(part(bash.out)).contains(option));
      CHECK(options_in(part(zsh.out)).contains(option));
      CHECK(options_in(page).contains(option));
    }
    CHECK_THAT(read(folder / "man1/namm.1"), Contains("namm\\-" + command));
  }
  check_refused(run_program({"completion", "fish"}), 2, {"bash or zsh", "\"fish\""});
}

TEST_CASE("the completion of bash offers commands, options, names and the last of a list") {
  const Folder folder;
  write(folder / "namm.bash", run_program({"completion", "bash"}).out);
  const auto offered = [&](const std::string& words, int at) {
    write(folder / "ask.sh", ". '" + (folder / "namm.bash") + "'\nCOMP_WORDS=(" + words + ")\nCOMP_CWORD=" + std::to_string(at) +
                                 "\n_namm 2> /dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\" > '" + (folder / "out") + "'\n");
    REQUIRE(std::system(("bash '" + (folder / "ask.sh") + "'").c_str()) == 0);
    return lines_in(read(folder / "out"));
  };
  using Words = std::vector<std::string>;
  CHECK(offered("namm ev", 1) == Words{"evolve", "eval"});
  CHECK(offered("namm eval --split t", 3) == Words{"train", "test"});
  CHECK(offered("namm eval --policy h2o,snap", 3).front() == "h2o,snapkv");
  CHECK(offered("namm report --for", 2) == Words{"--format"});
  CHECK(offered("namm run --mode p", 3) == Words{"pooled"});
  CHECK(offered("namm evolve --start l", 3).front() == "least-squares");
  CHECK(offered("namm prompts --start l", 3).front().empty());
  write(folder / "mine.json", "{}");
  CHECK(offered("namm eval --policy h2o," + (folder / "mi"), 3) == Words{"h2o," + (folder / "mine.json")});
}

namespace {

constexpr const char* kAskZsh = R"(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -U compinit; compinit -D -u; source ./namm.zsh; compdef _namm namm; cd files
zstyle ":completion:*" list-prompt ""; LISTMAX=1000
compadd() {
  local -a found
  [[ " $* " == *" -"[AOD]" "* ]] || { builtin compadd -O found "$@"; print -rl -- $found >> ../offered }
  builtin compadd "$@"
}
print ready >> ../offered'
wait_for() {  # the shell's output is taken meanwhile: a full pipe would stop it
  local i out
  for i in {1..1500}; do
    zpty -r -t shell out
    grep -qsx -- "$1" offered && return
    sleep 0.02
  done
  exit 1
}
wait_for ready
for words in "$@"; do
  print -r -- "> $words" >> offered
  zpty -w -n shell "$words"$'\t'
  sleep 0.2  # keys that come meanwhile would end the completion
  zpty -w -n shell $'\x15'
  zpty -w shell "print -r -- '< $words' >> ../offered"
  wait_for "< $words"
done
zpty -d shell
)";

}  // namespace

TEST_CASE("the completion of zsh is read without complaint, and offers what has a colon and the second of a list") {
  if (std::system("zsh -c true > /dev/null 2>&1") != 0) {
    WARN("zsh is not installed");
    return;
  }
  const Folder folder;
  write(folder / "namm.zsh", run_program({"completion", "zsh"}).out);
  CHECK(std::system(("zsh -n '" + (folder / "namm.zsh") + "'").c_str()) == 0);
  std::filesystem::create_directories(folder / "files");
  write(folder / "files/mine.json", "{}");
  write(folder / "ask.zsh", kAskZsh);
  const std::vector<std::string> asked = {"namm eval --haystack ",    "namm eval --policy h2o,sna", "namm eval --policy h2o,mi",
                                          "namm evolve --start ",     "namm prompts --start ",      "namm eval --split t",
                                          "namm evolve --budget 50%,"};
  std::string line = "cd '" + (folder / "files/..") + "' && TERM=dumb zsh -f ./ask.zsh";
  for (const std::string& words : asked) line += " '" + words + "'";
  REQUIRE(std::system((line + " > /dev/null 2>&1").c_str()) == 0);
  std::map<std::string, std::set<std::string>> offered;
  std::string question;
  for (const std::string& one : lines_in(read(folder / "offered")))
    if (one.rfind("> ", 0) == 0)
      question = one.substr(2);
    else if (!one.empty() && one.rfind("< ", 0) != 0)
      offered[question].insert(one);
  CAPTURE(read(folder / "offered"));
  for (const char* word : {"own", "code", "code:", "mine.json"}) CHECK(offered[asked[0]].contains(word));
  CHECK(offered[asked[1]].contains("snapkv"));
  CHECK(offered[asked[2]].contains("mine.json"));
  CHECK(offered[asked[3]].contains("least-squares"));
  CHECK_FALSE(offered[asked[4]].contains("zeros"));
  CHECK(offered[asked[5]] == std::set<std::string>{"train", "test"});
  CHECK(offered[asked[6]].contains("25%"));
}

TEST_CASE("the program names its commands and its version") {
  const Outcome help = run_program({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* command : {"evolve", "calibrate", "average", "trace", "eval", "run", "attach", "bench", "report", "inspect",
                              "prompts", "Exit codes"})
    CHECK(help.out.find(command) != std::string::npos);
  const Outcome version = run_program({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.rfind("namm ", 0) == 0);
  CHECK(version.out.find("llama.cpp") != std::string::npos);
  CHECK(run_program({}).code == 2);
}

TEST_CASE("unknown commands and options are refused with the nearest name") {
  check_refused(run_program({"evl"}), 2, {"no command 'evl'; did you mean 'eval'? commands: evolve, calibrate, "});
  check_refused(run_program({"foo"}), 2, {"no command 'foo'; commands: evolve, "});
  check_refused(run_program({"run", "--treads", "2"}), 2,
                {"run has no option --treads; did you mean --threads? 'namm run --help-all' lists all"});
  check_refused(run_program({"eval", "--polcy", "x"}), 2, {"eval has no option --polcy; did you mean --policy?"});
  check_refused(run_program({"eval", "--modle", "x"}), 2, {"did you mean --model?"});
  check_refused(run_program({"eval", "--zzzzzzzz", "x"}), 2, {"no option --zzzzzzzz; 'namm eval"});
  check_refused(run_program({"report", "--fromat", "text", "x"}), 2, {"--fromat", "--format"});
}

TEST_CASE("what is missing or of the wrong kind is named") {
  check_refused(run_program({"run"}), 2, {"--model", "must be given"});
  check_refused(run_program({"eval"}), 2, {"--model", "must be given"});
  check_refused(run_program({"inspect"}), 2, {"FILE", "must be given"});
  check_refused(run_program({"run", "--model", "x", "--threads", "zero", "--prompt", "x"}), 2, {"--threads", "zero"});
  check_refused(run_program({"run", "--model", "x", "--threads", "0", "--prompt", "x"}), 2, {"--threads", "is 0"});
  check_refused(run_program({"run", "--model", "x", "--max-tokens", "0", "--prompt", "x"}), 2, {"--max-tokens", "is 0"});
  check_refused(run_program({"run", "--model", "x", "--max-tokens", "2147483647", "--prompt", "x"}), 2,
                {"--max-tokens", "at most 16777216"});
  check_refused(run_program({"run", "--model", "x", "a word"}), 2, {"a word", "usage"});
  check_refused(run_program({"report", "--format", "pdf", "x"}), 2, {"--format", "pdf", "markdown"});
}
