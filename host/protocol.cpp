#include "host/protocol.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/fnv1a.hpp"

namespace namm {

namespace {

void append(std::vector<Token>& tokens, const std::vector<Token>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

/// Special tokens of the sequence's start, the opening of the user's turn, the context. Some templates name the start token
/// themselves; it is not doubled.
std::vector<Token> encode_context(const Host& host, const std::string& before_user, const std::string& context) {
  if (before_user.empty()) return host.tokenize(context, true);
  std::vector<Token> tokens = host.tokenize("", true);
  const std::vector<Token> opening = host.tokenize_template(before_user);
  if (!tokens.empty() && !opening.empty() && tokens.front() == opening.front()) tokens.clear();
  append(tokens, opening);
  append(tokens, host.tokenize(context, false));
  return tokens;
}

std::vector<Token> encode_question(const Host& host, const tasks::Sample& sample, const std::string& after_user) {
  std::vector<Token> tokens;
  if (after_user.empty()) {
    const std::string text = sample.question + sample.answer_prefix;
    if (!text.empty()) tokens = host.tokenize(text, false);
    return tokens;
  }
  if (!sample.question.empty()) tokens = host.tokenize(sample.question, false);
  append(tokens, host.tokenize_template(after_user));
  if (!sample.answer_prefix.empty()) append(tokens, host.tokenize(sample.answer_prefix, false));
  return tokens;
}

}  // namespace

Prompt encode_prompt(const Host& host, tasks::Sample sample, std::shared_ptr<const tasks::Task> task,
                     const ProtocolSettings& settings) {
  Host::ChatTemplate turn;
  if (settings.chat_template) turn = host.chat_template();
  Prompt prompt;
  prompt.context = encode_context(host, turn.before_user, sample.context);
  prompt.question = encode_question(host, sample, turn.after_user);
  if (!sample.answers.empty()) {
    tasks::Sample shown = sample;  // what the model sees decides whether the answer begins with a space
    shown.question += turn.after_user;
    prompt.answer = host.tokenize(tasks::continuation(shown, sample.answers.front()), false);
  }
  prompt.sample = std::move(sample);
  prompt.task = std::move(task);
  return prompt;
}

std::uint64_t token_hash(const Prompt& prompt) {
  std::uint64_t state = kFnvStart;
  for (const std::vector<Token>* part : {&prompt.context, &prompt.question, &prompt.answer}) {
    const std::size_t count = part->size();  // first: the same tokens in other parts are another prompt
    state = fnv1a({reinterpret_cast<const char*>(&count), sizeof count}, state);
    state = fnv1a({reinterpret_cast<const char*>(part->data()), count * sizeof(Token)}, state);
  }
  return state;
}

Prompt with_end_as_answer(Prompt prompt) {
  if (!prompt.answer.empty()) return prompt;
  constexpr std::size_t most = 32;
  const std::size_t end = std::min(most, prompt.context.size() / 4);
  if (end == 0)
    throw std::invalid_argument("prompt '" + prompt.sample.id + "': must have at least 4 tokens, has " +
                                std::to_string(prompt.context.size()) + "; give longer texts");
  prompt.answer.assign(prompt.context.end() - static_cast<std::ptrdiff_t>(end), prompt.context.end());
  prompt.context.resize(prompt.context.size() - end);
  prompt.question.clear();  // the end of the user's turn does not follow the middle of a text
  return prompt;
}

bool present(Host& host, const CachePolicy& policy, const Prompt& prompt, const ProtocolSettings& settings,
             const AfterPiece& after_piece) {
  const auto interval = static_cast<std::size_t>(policy.interval_tokens);
  std::size_t position = 0;
  // `last`: the cache is brought to its budget behind these tokens
  const auto read = [&](std::span<const Token> tokens, bool last) {
    while (!tokens.empty()) {
      std::size_t piece = tokens.size();
      if (after_piece) piece = std::min({piece, interval - position % interval, kPieceTokens});
      host.evaluate(tokens.first(piece));
      tokens = tokens.subspan(piece);
      position += piece;
      if (tokens.empty() && last) host.update();
      if (after_piece && !after_piece(position)) return false;
    }
    return true;
  };
  host.reset(policy);
  if (!read(prompt.context, settings.question_after)) return false;
  if (!prompt.question.empty()) return read(prompt.question, !settings.question_after);
  if (!settings.question_after) host.update();
  return true;
}

}  // namespace namm
