#include "eval/watched.hpp"

#include "base/utf8.hpp"
#include "eval/token_kinds.hpp"

namespace namm::eval {
namespace {

/// Length of the character that a byte begins, as UTF-8 says; 1 for a byte that begins none.
std::size_t character_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte >= 0xF5 || byte < 0xC2 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
}

/// Takes the whole characters from the front of `bytes`.
std::string take_characters(std::string& bytes) {
  std::string out;
  while (!bytes.empty()) {
    const std::size_t length = character_length(bytes.front());
    const std::string_view there = std::string_view(bytes).substr(0, length);
    if (first_invalid_utf8(there) == there.size()) {
      out += there;
      bytes.erase(0, length);
    } else if (bytes.size() < length && (bytes.size() == 1 || (static_cast<unsigned char>(bytes.back()) & 0xC0) == 0x80)) {
      break;  // the rest may come
    } else {
      out += "\xEF\xBF\xBD";
      bytes.erase(0, 1);
    }
  }
  return out;
}

/// Tokens that the sentences in `evidence` are in. Nothing if the context does not stand in the pieces as it was written.
std::vector<std::pair<std::int64_t, std::int64_t>> evidence_tokens(const std::vector<std::string>& pieces,
                                                                   const tasks::Sample& sample) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  const std::size_t start = text.find(sample.context);
  if (start == std::string::npos) return {};
  std::vector<std::pair<std::int64_t, std::int64_t>> out;
  for (const tasks::Extent& extent : sample.evidence) {
    const std::size_t begin = start + extent.offset, end = begin + extent.bytes;
    std::int64_t first = -1, last = -1;
    std::size_t at = 0;
    for (std::size_t i = 0; i < pieces.size(); at += pieces[i++].size()) {
      if (at + pieces[i].size() <= begin || at >= end) continue;
      if (first < 0) first = static_cast<std::int64_t>(i);
      last = static_cast<std::int64_t>(i);
    }
    if (first >= 0) out.emplace_back(first, last);
  }
  return out;
}

}  // namespace

std::size_t compressed_tokens(const Prompt& prompt, const ProtocolSettings& protocol) {
  return prompt.context.size() + (protocol.question_after ? 0 : prompt.question.size());
}

std::vector<std::string> token_pieces(const Host& host, std::span<const Token> tokens) {
  std::vector<std::string> out;
  std::string bytes;
  for (const Token& token : tokens) {
    bytes += host.detokenize({&token, 1});
    out.push_back(take_characters(bytes));
  }
  if (!out.empty() && !bytes.empty()) out.back() += "\xEF\xBF\xBD";
  return out;
}

PromptDetails describe_prompt(const Host& host, const Prompt& prompt, const ProtocolSettings& protocol,
                              const ResultRecord& record) {
  std::vector<Token> tokens = prompt.context;
  if (!protocol.question_after) tokens.insert(tokens.end(), prompt.question.begin(), prompt.question.end());
  PromptDetails out;
  out.model = record.model;
  out.task = record.task;
  out.length_tokens = record.length_tokens;
  out.prompt = prompt.sample.id;
  out.pieces = token_pieces(host, tokens);
  out.kinds = token_kinds(out.pieces);
  out.evidence = evidence_tokens(out.pieces, prompt.sample);
  return out;
}

RetentionDetails describe_retention(const Prompt& prompt, const ProtocolSettings& protocol, const Measurement& measured,
                                    const Measurement& full, const ResultRecord& record) {
  RetentionDetails out;
  out.model = record.model;
  out.policy = record.policy;
  out.memory = record.memory;
  out.task = record.task;
  out.budget = record.budget;
  out.mode = record.mode;
  out.length_tokens = record.length_tokens;
  out.interval_tokens = record.interval_tokens;
  out.prompt = prompt.sample.id;
  out.kept_by.resize(compressed_tokens(prompt, protocol));
  for (const HeadContent& head : measured.content) {
    out.heads.push_back({head.layer, head.kv_head, 0});
    for (const std::int32_t position : head.positions)
      if (static_cast<std::size_t>(position) < out.kept_by.size()) {
        ++out.heads.back().kept;
        ++out.kept_by[static_cast<std::size_t>(position)];
      }
  }
  for (const CacheUsage& usage : measured.timeline)
    out.timeline.push_back({usage.tokens_seen, usage.kv_bytes, usage.statistics_bytes});
  out.kv_bytes_full = measured.usage.kv_bytes_full;
  out.score = measured.score;
  out.answer_log_likelihood_delta = measured.log_likelihood - full.log_likelihood;
  return out;
}

}  // namespace namm::eval
