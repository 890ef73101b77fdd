#include "eval/token_kinds.hpp"

#include "tests/check.hpp"

using namespace namm::eval;

namespace {

/// Pieces of a text that is cut in front of every blank and line, as tokenisers do.
std::vector<std::string> cut(const std::string& text) {
  std::vector<std::string> out;
  for (const char c : text) {
    if (out.empty() || ((c == ' ' || c == '\n') && out.back().find_first_not_of(" \n") != std::string::npos)) out.emplace_back();
    out.back() += c;
  }
  return out;
}

/// Kind of the piece that is `word` but for white space and marks behind it.
char kind_of(const std::vector<std::string>& pieces, const std::string& word) {
  const std::string kinds = token_kinds(pieces);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::size_t start = pieces[i].find_first_not_of(" \n");
    if (start != std::string::npos && pieces[i].compare(start, word.size(), word) == 0) return kinds[i];
  }
  return '?';
}

}  // namespace

TEST_CASE("token kinds: prose") {
  const auto pieces = cut("Yesterday old Harriet sold 1906 books of the town - with snake_case.  \nThen Harriet slept.");
  CHECK(kind_of(pieces, "1906") == 'd');
  CHECK(kind_of(pieces, "Harriet") == 'n');
  CHECK(kind_of(pieces, "the") == 'f');
  CHECK(kind_of(pieces, "books") == 'w');
  CHECK(kind_of(pieces, "Yesterday") == 'w');  // a capital at the start of a sentence only
  CHECK(kind_of(pieces, "snake_case") == 'i');
  CHECK(kind_of(pieces, "-") == 'p');
}

TEST_CASE("token kinds: code") {
  const auto pieces =
      cut("int total (int count) {\n  // adds them up\n  while (count > 12) {\n    count = next(count);\n  }\n"
          "  /* the old\n way */ return count;\n}\n");
  for (const char* word : {"adds", "them", "up", "way"}) CHECK(kind_of(pieces, word) == 'c');
  CHECK(kind_of(pieces, "total") == 'i');
  CHECK(kind_of(pieces, "return") == 'f');
  CHECK(kind_of(pieces, "12") == 'd');
}

TEST_CASE("token kinds: a piece is what most of its bytes are, whatever cuts it off") {
  CHECK(token_kinds(std::vector<std::string>{"", "  ", "a"}) == "xsf");
  CHECK(token_kinds({}).empty());
  CHECK(token_kinds(std::vector<std::string>{"books."}) == "w");
  CHECK(token_kinds(std::vector<std::string>{"We met Har", "riet"}) == "wn");  // both parts of a name
  CHECK(token_kinds(std::vector<std::string>{"caf", "\xC3", "\xA9"}) == "www");
}
