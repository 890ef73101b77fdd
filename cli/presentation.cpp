#include "cli/presentation.hpp"

#include <algorithm>
#include <span>

#include "adapters/llama_cpp/llama_host.hpp"

namespace namm::cli {
namespace {

constexpr std::size_t kChunk = static_cast<std::size_t>(llama::LlamaHostSettings{}.chunk_tokens);

}  // namespace

bool present_in_pieces(Host& host, const Memory& memory, const evolve::Prompt& prompt, const evolve::ProtocolSettings& protocol,
                       const std::function<bool(std::size_t tokens)>& after_piece) {
  const auto interval = static_cast<std::size_t>(memory.interval_tokens);
  std::size_t position = 0;
  // `update`: the cache is brought to its budget behind the last piece
  const auto read = [&](std::span<const Token> tokens, bool update) {
    while (!tokens.empty()) {
      const std::size_t piece = std::min({tokens.size(), interval - position % interval, kChunk});
      host.evaluate(tokens.first(piece));
      tokens = tokens.subspan(piece);
      position += piece;
      if (tokens.empty() && update) host.update();
      if (!after_piece(position)) return false;
    }
    return true;
  };
  host.reset(memory);
  if (!read(prompt.context, protocol.question_after)) return false;
  if (prompt.question.empty()) {
    if (!protocol.question_after) host.update();
    return true;
  }
  return read(prompt.question, !protocol.question_after);
}

}  // namespace namm::cli
