#pragma once
#include <span>

#include "eval/details.hpp"
#include "eval/evaluation.hpp"
#include "eval/record.hpp"

namespace namm::eval {

/// The tokens that a memory compresses: all of the prompt, or its context if the question comes after.
std::size_t compressed_tokens(const Prompt& prompt, const ProtocolSettings& protocol);

/// Text of every token. A character that is cut by a token's end belongs to the token that completes it; what is no UTF-8 becomes
/// U+FFFD.
std::vector<std::string> token_pieces(const Host& host, std::span<const Token> tokens);

/// The compressed tokens of a prompt. `record` says which evaluation it belongs to.
PromptDetails describe_prompt(const Host& host, const Prompt& prompt, const ProtocolSettings& protocol,
                              const ResultRecord& record);
/// What became of them. `measured` was watched; `record` says by whom.
RetentionDetails describe_retention(const Prompt& prompt, const ProtocolSettings& protocol, const Measurement& measured,
                                    const Measurement& full, const ResultRecord& record);

}  // namespace namm::eval
