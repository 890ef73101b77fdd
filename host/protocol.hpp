#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/host.hpp"
#include "tasks/task.hpp"

namespace namm {

/// How a prompt is put to a host; the same for evolution and evaluation, so that their numbers can be compared.
struct ProtocolSettings {
  bool chat_template = true;   ///< wrap the prompt in the user's turn if the model has a template
  bool question_after = true;  ///< the cache is brought to its budget before the question is seen; false: after it
  friend bool operator==(const ProtocolSettings&, const ProtocolSettings&) = default;
};

/// A prompt in the tokens of one model. The parts are tokenised on their own, special tokens only in front of the first and in
/// the chat template's own words.
///
///     [before_user] context | question [after_user] answer_prefix | answer
struct Prompt {
  tasks::Sample sample;
  std::shared_ptr<const tasks::Task> task;
  std::vector<Token> context;
  std::vector<Token> question;  ///< may be empty
  std::vector<Token> answer;    ///< the gold answer, with the space that separates it; empty if the sample has none
};

Prompt encode_prompt(const Host& host, tasks::Sample sample, std::shared_ptr<const tasks::Task> task,
                     const ProtocolSettings& settings);

/// Tells prompts apart by their tokens: ids come from files and may be given twice. Not for files: it depends on how numbers lie
/// in memory.
std::uint64_t token_hash(const Prompt& prompt);

/// A prompt without an answer becomes one about its own end: its last 32 tokens, at most a quarter of them, are what is to be
/// predicted. Others stay as they are. Throws std::invalid_argument if it has fewer than 4 tokens.
Prompt with_end_as_answer(Prompt prompt);

/// Tokens of a prompt that are read at once where somebody watches: what a host of llama.cpp evaluates at once by default.
inline constexpr std::size_t kPieceTokens = 512;

/// Gets the tokens read so far; false: nothing more is read.
using AfterPiece = std::function<bool(std::size_t tokens)>;

/// Attaches `policy` to a new sequence and evaluates the prompt up to where the answer begins. With question_after: context,
/// update, question; else context and question together, then update. What follows is the answer. With `after_piece` the prompt
/// is read in pieces that end where an update is due, so that it can be watched and interrupted; what the cache holds is the
/// same. False if `after_piece` ended it.
bool present(Host& host, const CachePolicy& policy, const Prompt& prompt, const ProtocolSettings& settings,
             const AfterPiece& after_piece = {});

}  // namespace namm
