#include "eval/token_kinds.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace namm::eval {
namespace {

constexpr std::string_view kFunctionWords[] = {
    "a",      "about",   "above", "after",  "all",   "also",  "am",   "an",   "and",    "any",   "are",   "as",     "at",
    "be",     "because", "been",  "before", "being", "below", "but",  "by",   "can",    "could", "did",   "do",     "does",
    "during", "each",    "every", "for",    "from",  "had",   "has",  "have", "he",     "her",   "here",  "him",    "his",
    "how",    "i",       "if",    "in",     "into",  "is",    "it",   "its",  "may",    "me",    "might", "must",   "my",
    "no",     "nor",     "not",   "of",     "on",    "or",    "our",  "out",  "over",   "shall", "she",   "should", "so",
    "some",   "such",    "than",  "that",   "the",   "their", "them", "then", "there",  "these", "they",  "this",   "those",
    "to",     "too",     "under", "until",  "up",    "upon",  "us",   "very", "was",    "we",    "were",  "what",   "when",
    "where",  "which",   "while", "who",    "whom",  "why",   "will", "with", "within", "would", "you",   "your"};

constexpr std::string_view kKeywords[] = {
    "assert",    "async",    "auto",    "await",   "bool",     "break", "case",      "catch",   "char",     "class",  "const",
    "constexpr", "continue", "def",     "default", "define",   "del",   "double",    "elif",    "else",     "endif",  "enum",
    "except",    "extern",   "False",   "finally", "float",    "fn",    "function",  "goto",    "ifdef",    "ifndef", "import",
    "include",   "inline",   "int",     "lambda",  "let",      "long",  "namespace", "new",     "None",     "null",   "nullptr",
    "pass",      "private",  "public",  "raise",   "return",   "self",  "short",     "signed",  "sizeof",   "static", "struct",
    "switch",    "template", "throw",   "True",    "true",     "false", "try",       "typedef", "typename", "union",  "unsigned",
    "using",     "var",      "virtual", "void",    "volatile", "yield"};

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
/// Bytes of characters beyond ASCII count as letters.
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <std::size_t kSize>
bool among(std::string_view word, const std::string_view (&list)[kSize]) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool is_code(std::string_view text) {
  std::size_t lines = 0, ends = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
    if (line.empty()) continue;
    ++lines;
    ends += line.back() == ';' || line.back() == '{' || line.back() == '}' || line.ends_with("):") ? 1 : 0;
  }
  return lines >= 3 && ends * 7 >= lines;
}

/// Kind of every byte of a text.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text), kinds_(text.size(), TokenKind::space), code_(is_code(text)) {
    for (const bool collecting : {true, false})
      for (std::size_t at = 0; at < text_.size();) at = step(at, collecting);
  }
  const std::vector<TokenKind>& kinds() const { return kinds_; }

 private:
  std::size_t mark(std::size_t begin, std::size_t end, TokenKind kind) {
    std::fill(kinds_.begin() + static_cast<std::ptrdiff_t>(begin), kinds_.begin() + static_cast<std::ptrdiff_t>(end), kind);
    return end;
  }

  /// Where the comment that begins here ends; `at` if none does.
  std::size_t comment_end(std::size_t at) const {
    if (!code_) return at;
    const std::string_view rest = text_.substr(at);
    if (rest.starts_with("/*")) {
      const std::size_t end = rest.find("*/", 2);
      return end == std::string_view::npos ? text_.size() : at + end + 2;
    }
    const bool line = rest.starts_with("//") || rest.starts_with("# ") || rest.starts_with("#!");
    return line ? std::min(text_.find('\n', at), text_.size()) : at;
  }

  std::size_t step(std::size_t at, bool collecting) {
    const char c = text_[at];
    if (is_space(c)) return mark(at, at + 1, TokenKind::space);
    if (const std::size_t end = comment_end(at); end > at) return mark(at, end, TokenKind::comment);
    if (!is_word(c)) return mark(at, at + 1, TokenKind::punctuation);
    std::size_t end = at;
    while (end < text_.size() && is_word(text_[end])) ++end;
    const std::string_view word = text_.substr(at, end - at);
    if (collecting && !starts_sentence(at) && is_upper(c) && word.size() > 1 && !among(lower(word), kFunctionWords))
      names_.emplace(word);
    return mark(at, end, kind_of(word));
  }

  bool starts_sentence(std::size_t at) const {
    while (at > 0 && (is_space(text_[at - 1]) || text_[at - 1] == '"' || text_[at - 1] == '\''))
      if (text_[--at] == '\n') return true;
    return at == 0 || text_[at - 1] == '.' || text_[at - 1] == '!' || text_[at - 1] == '?' || text_[at - 1] == ':';
  }

  TokenKind kind_of(std::string_view word) const {
    if (std::all_of(word.begin(), word.end(), is_digit)) return TokenKind::digits;
    if (among(lower(word), kFunctionWords)) return TokenKind::function_word;
    if (code_) return among(word, kKeywords) ? TokenKind::function_word : TokenKind::identifier;
    const bool mixed = std::any_of(word.begin(), word.end(), [](char c) { return c == '_' || is_digit(c); }) ||
                       (std::any_of(word.begin() + 1, word.end(), is_upper) && !std::all_of(word.begin(), word.end(), is_upper));
    if (mixed) return TokenKind::identifier;
    return names_.contains(word) ? TokenKind::name : TokenKind::word;
  }

  std::string_view text_;
  std::vector<TokenKind> kinds_;
  std::set<std::string, std::less<>> names_;
  bool code_;
};

}  // namespace

std::string token_kinds(std::span<const std::string> pieces) {
  std::string text, out;
  for (const std::string& piece : pieces) text += piece;
  const Lexer lexer(text);
  std::size_t at = 0;
  for (const std::string& piece : pieces) {
    std::array<std::size_t, kTokenKinds> counts{};
    for (std::size_t i = 0; i < piece.size(); ++i) ++counts[static_cast<std::size_t>(lexer.kinds()[at + i])];
    const bool blank = counts[0] == piece.size();
    if (!blank) counts[0] = 0;
    const auto kind = static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
    out += kKindLetters[piece.empty() ? static_cast<std::size_t>(TokenKind::special) : kind];
    at += piece.size();
  }
  return out;
}

}  // namespace namm::eval
