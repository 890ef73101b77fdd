#pragma once
#include <span>
#include <string_view>

namespace namm::tasks {

/// One rule of the grammar: its alternatives are separated by '|'. In an alternative, {rule} is another rule, {hero}, {he},
/// {his}, {him}, {other}, {surname}, {town}, {thing} and {trade} are the paragraph's own, {a} is "a" or "an" by what follows,
/// {numword} a number in words and {digits:N} a number with N digits.
struct GrammarRule {
  std::string_view name;
  std::string_view alternatives;
};

/// The words (prose_words.cpp) and the sentences (prose_grammar.cpp).
std::span<const GrammarRule> prose_words();
std::span<const GrammarRule> prose_sentences();

}  // namespace namm::tasks
