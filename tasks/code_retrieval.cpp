#include <algorithm>
#include <stdexcept>

#include "tasks/code_context.hpp"
#include "tasks/fit.hpp"
#include "tasks/generators.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// #define NAME VALUE, with a number as the value.
struct Macro {
  std::string_view line, name, value;
};

/// 2 to 18 digits, or 0x and 1 to 16 hexadecimal ones.
bool is_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  if (text.size() < (hexadecimal ? 1 : 2) || text.size() > (hexadecimal ? 16 : 18)) return false;
  return text.find_first_not_of(hexadecimal ? "0123456789abcdefABCDEF" : "0123456789") == std::string_view::npos;
}

/// The macros that are defined as a number, or with `any_value` as anything.
std::vector<Macro> macros_in(std::string_view text, bool any_value) {
  std::vector<Macro> macros;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    std::string_view rest = line;
    const auto word = [&] {
      rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
      const std::string_view found = rest.substr(0, rest.find_first_of(" \t"));
      rest.remove_prefix(found.size());
      return found;
    };
    if (word() != "#define") continue;
    const std::string_view name = word(), value = word();
    bool good = any_value || (name.size() >= 6 && is_number(value));
    for (const char c : name) good = good && is_name(c);
    if (good) macros.push_back({line, name, value});
  }
  return macros;
}

/// Code retrieval: the number that a macro stands for, defined once somewhere in a long piece of source code, at a uniform random
/// depth. No published definition; as the needle of RULER (arXiv 2404.06654), but real: nothing was planted. The files are the
/// headers installed on this machine, or those of `--haystack code:FOLDER`. Score: `prefix`.
class CodeRetrieval final : public Task {
 public:
  explicit CodeRetrieval(std::shared_ptr<const CodeCorpus> corpus) : corpus_(std::move(corpus)) {}
  std::string_view name() const override { return "code-retrieval"; }
  int max_answer_tokens() const override { return 24; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    const std::size_t length = request.length_tokens;
    const Sample blank = start_sample(name(), request);
    if (length < kFewestCodeTokens) refuse_short(name(), length, "definition of a macro", kFewestCodeTokens);
    Rng rng("code-retrieval/needle", request.split, request.seed, request.index);
    for (int tries = 0; tries < 400; ++tries) {
      const auto file = corpus_->draw(request.split, rng);
      const std::vector<Macro> macros = macros_in(file->text, false);
      if (macros.empty()) continue;
      const Macro& macro = macros[rng.below(macros.size())];
      Sample sample = blank;
      if (write(sample, request, count_tokens, *file, macro, rng)) return sample;
    }
    throw std::runtime_error("code: files under " + corpus_->folder().string() +
                             " must define macros as numbers that come once, 400 of them had none; give another folder");
  }

 private:
  /// False if the macro is defined, or the number comes, a second time.
  bool write(Sample& sample, const SampleRequest& request, const TokenCounter& count_tokens, const CodeFile& file,
             const Macro& macro, Rng& rng) const {
    const std::size_t length = request.length_tokens, line_tokens = count_tokens(macro.line) + 2;
    if (2 * line_tokens > length) return false;
    const auto before = static_cast<std::size_t>(rng.fraction() * static_cast<double>(length - line_tokens));
    const auto at = static_cast<std::size_t>(macro.line.data() - file.text.data());
    const CodeContext around = code_around(*corpus_, request.split, rng, file, at, before, length - before, count_tokens);
    sample.context = last_tokens(around.before, before, count_tokens);
    const std::size_t offset = sample.context.size();
    const std::string_view after = std::string_view(around.after).substr(macro.line.size());
    sample.context += macro.line;
    for (std::size_t room = length - std::min(length, count_tokens(sample.context)); room > 0; room -= 1) {
      sample.context.resize(offset + macro.line.size());
      sample.context += first_tokens(after, room, count_tokens);
      if (count_tokens(sample.context) <= length) break;
    }
    if (count_tokens(sample.context) > length) return false;

    std::string rest = sample.context.substr(0, offset);
    rest += sample.context.substr(offset + macro.line.size());
    const std::string value(macro.value);
    for (const Macro& other : macros_in(rest, true))
      if (other.name == macro.name) return false;
    if (score_contains({&value, 1}, rest) > 0) return false;
    sample.needle_offset = offset;
    sample.evidence = {{offset, macro.line.size()}};
    const std::string name(macro.name);
    sample.question.append("\n\nWhat is the value of the macro ").append(name).append("?");
    sample.answer_prefix.append(" The value of the macro ").append(name).append(" is");
    sample.answers = {value};
    return true;
  }

  std::shared_ptr<const CodeCorpus> corpus_;
};

}  // namespace

std::unique_ptr<Task> make_code_retrieval(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<CodeRetrieval>(corpus_of(haystack));
}

}  // namespace namm::tasks
