#include "eval/details.hpp"

#include <stdexcept>

#include "base/json_fields.hpp"
#include "eval/token_kinds.hpp"

namespace namm::eval {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostTokens = 4'000'000, kMostHeads = 1'000'000, kMostBytes = std::int64_t{1} << 50;

const json& array(const detail::JsonFields& fields, std::string_view name, std::int64_t most) {
  const json& value = fields.need(name);
  if (!value.is_array() || static_cast<std::int64_t>(value.size()) > most)
    fields.refuse(name, "an array of at most " + std::to_string(most) + " entries");
  return value;
}

std::int64_t integer(const detail::JsonFields& fields, std::string_view name, const json& value, std::int64_t high) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > 0x7fffffffffffffffu) ||
      value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > high)
    fields.refuse(name, "made of whole numbers from 0 to " + std::to_string(high));
  return value.get<std::int64_t>();
}

const json& row(const detail::JsonFields& fields, std::string_view name, const json& value, std::size_t size) {
  if (!value.is_array() || value.size() != size) fields.refuse(name, "made of arrays of " + std::to_string(size) + " numbers");
  return value;
}

}  // namespace

json to_json(const PromptDetails& d) {
  json evidence = json::array();
  for (const auto& [first, last] : d.evidence) evidence.push_back({first, last});
  return {{"record", "prompt"}, {"evidence", evidence}, {"model", d.model}, {"task", d.task}, {"length_tokens", d.length_tokens},
          {"prompt", d.prompt}, {"pieces", d.pieces},   {"kinds", d.kinds}};
}

json to_json(const RetentionDetails& d) {
  json heads = json::array(), timeline = json::array();
  for (const auto& head : d.heads) heads.push_back({head.layer, head.kv_head, head.kept});
  for (const auto& point : d.timeline) {
    timeline.push_back({point.tokens, point.kv_bytes});
    if (point.statistics_bytes >= 0) timeline.back().push_back(point.statistics_bytes);
  }
  return {{"record", "retention"},
          {"model", d.model},
          {"policy", d.policy},
          {"memory", d.memory},
          {"task", d.task},
          {"length_tokens", d.length_tokens},
          {"budget", d.budget},
          {"mode", d.mode},
          {"interval_tokens", d.interval_tokens},
          {"prompt", d.prompt},
          {"heads", heads},
          {"kept_by", d.kept_by},
          {"timeline", timeline},
          {"kv_bytes_full", d.kv_bytes_full},
          {"score", d.score},
          {"answer_log_likelihood_delta", detail::number_or_null(d.answer_log_likelihood_delta)}};
}

PromptDetails prompt_details_from_json(const json& object) {
  const detail::JsonFields fields(object, "");
  PromptDetails out;
  out.model = fields.text("model");
  out.task = fields.text("task");
  out.length_tokens = fields.integer("length_tokens", 0, kMostTokens);
  out.prompt = fields.text("prompt");
  for (const json& piece : array(fields, "pieces", kMostTokens)) {
    if (!piece.is_string()) fields.refuse("pieces", "made of texts");
    out.pieces.push_back(piece.get<std::string>());
  }
  out.kinds = fields.text("kinds");
  if (out.kinds.size() != out.pieces.size() || out.kinds.find_first_not_of(kKindLetters) != std::string::npos)
    fields.refuse("kinds", "one of the letters " + std::string(kKindLetters) + " per piece");
  if (!fields.has("evidence")) return out;
  for (const json& range : array(fields, "evidence", kMostTokens)) {
    row(fields, "evidence", range, 2);
    out.evidence.emplace_back(integer(fields, "evidence", range[0], kMostTokens),
                              integer(fields, "evidence", range[1], kMostTokens));
    if (out.evidence.back().first > out.evidence.back().second ||
        out.evidence.back().second >= static_cast<std::int64_t>(out.pieces.size()))
      fields.refuse("evidence", "ranges of tokens of the prompt");
  }
  return out;
}

RetentionDetails retention_details_from_json(const json& object) {
  const detail::JsonFields fields(object, "");
  RetentionDetails out;
  out.model = fields.text("model");
  out.policy = fields.text("policy");
  out.memory = fields.text_or_empty("memory");
  out.task = fields.text("task");
  out.length_tokens = fields.integer("length_tokens", 0, kMostTokens);
  out.budget = fields.text("budget");
  out.mode = fields.text("mode");
  out.interval_tokens = static_cast<int>(fields.integer("interval_tokens", 0, kMostTokens));
  out.prompt = fields.text("prompt");
  for (const json& head : array(fields, "heads", kMostHeads)) {
    row(fields, "heads", head, 3);
    out.heads.push_back({static_cast<int>(integer(fields, "heads", head[0], kMostHeads)),
                         static_cast<int>(integer(fields, "heads", head[1], kMostHeads)),
                         integer(fields, "heads", head[2], kMostTokens)});
  }
  for (const json& count : array(fields, "kept_by", kMostTokens))
    out.kept_by.push_back(
        static_cast<std::int32_t>(integer(fields, "kept_by", count, static_cast<std::int64_t>(out.heads.size()))));
  for (const auto& head : out.heads)
    if (head.kept > static_cast<std::int64_t>(out.kept_by.size()))
      fields.refuse("heads", "made of heads that keep at most the tokens of kept_by");
  for (const json& point : array(fields, "timeline", kMostTokens)) {
    const bool with_statistics = point.is_array() && point.size() == 3;
    row(fields, "timeline", point, with_statistics ? 3 : 2);
    out.timeline.push_back(
        {integer(fields, "timeline", point[0], kMostTokens), integer(fields, "timeline", point[1], kMostBytes)});
    if (with_statistics) out.timeline.back().statistics_bytes = integer(fields, "timeline", point[2], kMostBytes);
  }
  out.kv_bytes_full = fields.integer("kv_bytes_full", 0, kMostBytes);
  out.score = fields.wide_number("score");
  fields.need("answer_log_likelihood_delta");
  out.answer_log_likelihood_delta = fields.number_or_nan("answer_log_likelihood_delta");
  return out;
}

}  // namespace namm::eval
