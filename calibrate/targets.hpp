#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/recorder.hpp"
#include "host/host.hpp"

namespace namm::calibrate {

/// Whose attention makes a token worth keeping.
enum class Target {
  reconstruction,  ///< the model repeats the text (KVzip, arXiv 2505.23416): every token of the repetition looks back. No labels
  later,           ///< the tokens of the text behind it
  planted,         ///< the program hides facts in the text and asks for them: the positions that write the answers. No labels
  answers          ///< prompts with answers: the positions that write the answer
};
Target parse_target(std::string_view name);  ///< throws std::invalid_argument
std::string_view to_string(Target target);

/// A text to record, in tokens. Only the context is learnt from.
struct Passage {
  std::vector<Token> context;
  std::vector<Token> tail;             ///< evaluated behind the context
  std::vector<PositionRange> queries;  ///< positions whose attention counts, in context and tail
  std::size_t tokens() const { return context.size() + tail.size(); }
};

/// A text with, for `answers`, its question and answer.
struct Source {
  std::string context, question, answer;
};

/// `length_tokens`: the context is cut there; 0 = all of it. `chat`: as the user's turn of the model's template. `seed` decides
/// what is planted. Throws std::invalid_argument if `answers` is asked of a source without an answer.
Passage make_passage(const Host& host, Target target, const Source& source, std::size_t length_tokens, bool chat,
                     std::uint64_t seed);

}  // namespace namm::calibrate
