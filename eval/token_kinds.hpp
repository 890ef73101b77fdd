#pragma once
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm::eval {

/// What a token is for a reader.
enum class TokenKind {
  space,          ///< white space only
  punctuation,    ///< marks, operators
  function_word,  ///< articles, pronouns, prepositions, auxiliaries; in code the keywords
  word,           ///< other words
  name,           ///< capitalised inside a sentence, and the same word elsewhere
  digits,         ///< numbers
  identifier,     ///< with an underscore, a digit or a capital inside; in code every word that is no keyword
  comment,        ///< in code: from // or # to the end of the line, and between /* and */
  special,        ///< no text at all: the vocabulary's control tokens
};
constexpr std::size_t kTokenKinds = 9;
/// One letter per kind, in the order above, for compact storage.
constexpr std::string_view kKindLetters = "spfwndicx";
/// For people, in the same order.
constexpr std::array<std::string_view, kTokenKinds> kKindNames = {"white space", "punctuation", "function words",
                                                                  "other words", "names",       "digits",
                                                                  "identifiers", "comments",    "control tokens"};

/// The kind of each piece of a text that was cut into tokens, one letter per piece. A piece is what most of its bytes that are
/// not white space are; of equals, the first. Text counts as code if one in seven of its lines that are not empty ends in ; { }
/// or ):. Rules of thumb for English and for languages with the comments of C or Python.
std::string token_kinds(std::span<const std::string> pieces);

}  // namespace namm::eval
