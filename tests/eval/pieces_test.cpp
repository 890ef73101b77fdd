// Pieces of text that tokens stand for: bytes, which need not be UTF-8.
#include "eval/watched.hpp"
#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;

namespace {

/// Each token is one byte, as tokens of bytes are in real vocabularies.
class ByteHost final : public fake::Host {
 public:
  std::string detokenize(std::span<const Token> tokens) const override {
    std::string out;
    for (const Token token : tokens) out += static_cast<char>(token);
    return out;
  }
};

std::vector<std::string> pieces_of(const std::string& bytes) {
  std::vector<Token> tokens;
  for (const char byte : bytes) tokens.push_back(static_cast<unsigned char>(byte));
  return eval::token_pieces(ByteHost(), tokens);
}

}  // namespace

TEST_CASE("pieces: a cut character belongs to the token that completes it, what is no UTF-8 is U+FFFD") {
  using Pieces = std::vector<std::string>;
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(pieces_of("a\xC3\xA9z") == Pieces{"a", "", "\xC3\xA9", "z"});
  CHECK(pieces_of("\xF0\x9F\x98\x80") == Pieces{"", "", "", "\xF0\x9F\x98\x80"});
  CHECK(pieces_of("a\xFFz") == Pieces{"a", bad, "z"});
  CHECK(pieces_of("\xC3") == Pieces{bad});  // the end comes first
  CHECK(pieces_of("\xE2\x82") == Pieces{"", bad});
  CHECK(pieces_of("\xC3z") == Pieces{"", bad + "z"});  // another character begins
  CHECK(pieces_of("\x80").front() == bad);             // none began
  CHECK(pieces_of("").empty());
}
