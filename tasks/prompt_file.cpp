#include "tasks/prompt_file.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/ascii.hpp"
#include "base/utf8.hpp"
#include "tasks/benchmark_records.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw std::runtime_error(where + what);
}

/// A text for a message: at most 40 bytes, quoted, without control characters.
std::string shown(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 40)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  while (first_invalid_utf8(out) != out.size()) out.pop_back();  // a character cut in two
  return out + (text.size() > 40 ? "...'" : "'");
}

json parse(const std::string& line, const std::string& where, const PromptFileLimits& limits) {
  std::size_t values = 0;
  const auto watch = [&](int depth, json::parse_event_t event, json&) {
    const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && static_cast<std::size_t>(depth) >= limits.depth)
      fail(where, "JSON may be nested at most " + std::to_string(limits.depth) + " levels deep");
    if ((opens || event == json::parse_event_t::value) && ++values > limits.values)
      fail(where, "may hold at most " + std::to_string(limits.values) + " JSON values");
    return true;
  };
  try {
    return json::parse(line, watch);
  } catch (const json::parse_error& error) {
    fail(where, "is not valid JSON (byte " + std::to_string(error.byte) + "); write one object per line");
  } catch (const json::exception&) {
    fail(where, "is not valid JSON (a number out of range); write one object per line");
  }
}

std::string text_field(const json& record, const char* field, const std::string& where) {
  const auto found = record.find(field);
  if (found == record.end() || found->is_null()) return "";
  if (!found->is_string()) fail(where, std::string("'") + field + "' must be a string, got " + found->type_name());
  auto text = found->get<std::string>();
  if (text.find('\0') != std::string::npos) fail(where, std::string("'") + field + "' holds a NUL character; remove it");
  return text;
}

/// `task` and `id` are printed in tables: short, one line.
std::string label_field(const json& record, const char* field, const std::string& where, std::string otherwise) {
  const auto found = record.find(field);
  if (found == record.end() || found->is_null()) return otherwise;
  if (found->is_number_integer()) return found->dump();
  std::string text = text_field(record, field, where);
  if (text.empty() || text.size() > 200)
    fail(where, std::string("'") + field + "' must have 1 to 200 bytes, got " + std::to_string(text.size()));
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    fail(where, std::string("'") + field + "' must not hold control characters");
  return text;
}

std::string answer_text(const json& answer, const std::string& where) {
  constexpr double kLargestExact = 9007199254740992.0;  // 2^53: beyond it, and 64 bits, digits were lost while reading
  if (answer.is_number_float() && std::abs(answer.get<double>()) >= kLargestExact)
    fail(where, "'answers' holds a number of too many digits to be read exactly; put it in quotes");
  if (answer.is_number()) return answer.dump();
  if (!answer.is_string()) fail(where, std::string("'answers' must hold strings, got ") + answer.type_name());
  auto text = answer.get<std::string>();
  if (text.find('\0') != std::string::npos) fail(where, "'answers' holds a NUL character; remove it");
  if (std::all_of(text.begin(), text.end(), is_space)) fail(where, "'answers' must not hold empty strings");
  return text;
}

std::vector<std::string> answers_field(const json& record, const std::string& where, std::size_t most) {
  const char* field = record.contains("answers") ? "answers" : "answer";
  const auto found = record.find(field);
  if (found == record.end() || found->is_null()) return {};
  if (!found->is_array()) return {answer_text(*found, where)};
  if (found->empty()) fail(where, "'answers' must hold at least one string; leave the field out for plain text");
  if (found->size() > most)
    fail(where, "'answers' may hold at most " + std::to_string(most) + " strings, got " + std::to_string(found->size()));
  std::vector<std::string> answers;
  for (const json& answer : *found) answers.push_back(answer_text(answer, where));
  return answers;
}

std::vector<std::string> choices_field(const json& record, const std::string& where, std::size_t most) {
  const auto found = record.find("choices");
  if (found == record.end() || found->is_null()) return {};
  if (!found->is_array()) fail(where, std::string("'choices' must be a list of strings, got ") + found->type_name());
  if (found->size() > most)
    fail(where, "'choices' may hold at most " + std::to_string(most) + " strings, got " + std::to_string(found->size()));
  std::vector<std::string> choices;
  for (const json& choice : *found) {
    if (!choice.is_string()) fail(where, std::string("'choices' must hold strings, got ") + choice.type_name());
    choices.push_back(choice.get<std::string>());
  }
  return choices;
}

int answer_tokens_field(const json& record, const std::string& where) {
  const auto found = record.find("answer_tokens");
  if (found == record.end() || found->is_null()) return 0;
  if (!found->is_number_integer() || *found < 1 || *found > 4096)
    fail(where, "'answer_tokens' must be a whole number from 1 to 4096");
  return found->get<int>();
}

/// Puts `separator` before `part` if nothing else parts it from what comes before.
void part(const std::string& before, std::string& part, const char* separator) {
  if (!part.empty() && !before.empty() && !is_space(part.front()) && !is_space(before.back())) part.insert(0, separator);
}

Sample to_sample(const json& record, const LineReader& reader, const PromptFileLimits& limits) {
  const std::string where = reader.where();
  if (!record.is_object()) fail(where, std::string("must be a JSON object, got ") + record.type_name());
  if (!record.contains("context")) fail(where, "has no 'context'; a prompt needs at least the field 'context'");
  Sample sample;
  sample.context = text_field(record, "context", where);
  sample.question = text_field(record, "question", where);
  sample.answer_prefix = text_field(record, "answer_prefix", where);
  sample.answers = answers_field(record, where, limits.answers);
  sample.choices = choices_field(record, where, limits.answers);
  sample.answer_tokens = answer_tokens_field(record, where);
  sample.task = label_field(record, "task", where, reader.file().stem().string());
  sample.id = label_field(record, "id", where, reader.file().filename().string() + ":" + std::to_string(reader.line_number()));
  sample.metric = text_field(record, "metric", where);
  if (sample.context.empty() && sample.question.empty()) fail(where, "'context' is empty");
  if (!sample.question.empty() && sample.answers.empty())
    fail(where, "has a 'question' and no 'answers'; add the accepted answers");
  if (!sample.answer_prefix.empty() && sample.answers.empty())
    fail(where, "has an 'answer_prefix' and no 'answers'; add the accepted answers");
  if (!sample.metric.empty() && !is_metric(sample.metric))
    fail(where, "'metric' must be " + metric_names() + ", got " + shown(sample.metric));
  if (sample.metric.empty() && !sample.answers.empty()) sample.metric = "contains";
  part(sample.context, sample.question, "\n\n");
  part(sample.question.empty() ? sample.context : sample.question, sample.answer_prefix, " ");
  const bool verbatim = continuation(sample, "").empty();  // white space or nothing before the answer: it stays as it is
  for (std::string& answer : sample.answers)
    if (!verbatim)
      answer.erase(0, static_cast<std::size_t>(std::find_if_not(answer.begin(), answer.end(), is_space) - answer.begin()));
  return sample;
}

bool has_json_lines(LineReader& reader) {
  const std::string extension = reader.file().extension().string();
  if (extension == ".jsonl" || extension == ".ndjson") return true;
  if (extension == ".txt" || extension == ".md") return false;
  const char first = reader.peek();
  if (first == '[' && extension == ".json")
    throw std::runtime_error(reader.file().string() +
                             ": is a JSON array; write one object per line, for example with jq -c '.[]'");
  return first == '{';
}

}  // namespace

PromptFile::PromptFile(const std::filesystem::path& file, PromptFileLimits limits)
    : reader_(file, limits.line_bytes), limits_(limits), json_lines_(has_json_lines(reader_)) {}

std::optional<Sample> PromptFile::next() {
  if (done_) return std::nullopt;
  if (!json_lines_) {
    done_ = true;
    return read_text();
  }
  std::string line;
  while (reader_.next(line)) {
    if (std::all_of(line.begin(), line.end(), is_space)) continue;
    if (const std::size_t bad = first_invalid_utf8(line); bad != line.size())
      fail(reader_.where(), "is not UTF-8 text (byte " + std::to_string(bad + 1) + "); convert the file first");
    json record = parse(line, reader_.where(), limits_);
    rewrite_benchmark_record(record, reader_.file().stem().string());
    return to_sample(record, reader_, limits_);
  }
  done_ = true;
  return std::nullopt;
}

Sample PromptFile::read_text() {
  Sample sample;
  std::string line;
  while (reader_.next(line)) {
    if (first_invalid_utf8(line) != line.size()) fail(reader_.where(), "is not UTF-8 text; convert the file first");
    if (line.find('\0') != std::string::npos) fail(reader_.where(), "holds a NUL character; is this a text file?");
    if (reader_.line_number() > 1) sample.context += '\n';
    sample.context += line;
    if (sample.context.size() > limits_.text_bytes)
      fail(reader_.where(), "a plain text may have at most " + std::to_string(limits_.text_bytes) + " bytes; split the file");
  }
  if (std::all_of(sample.context.begin(), sample.context.end(), is_space)) fail(reader_.file().string() + ": ", "holds no text");
  sample.task = reader_.file().stem().string();
  sample.id = reader_.file().filename().string();
  return sample;
}

std::vector<Sample> load_prompts(const std::filesystem::path& file, std::size_t most) {
  PromptFile prompts(file);
  std::vector<Sample> samples;
  while (most == 0 || samples.size() < most) {
    std::optional<Sample> sample = prompts.next();
    if (!sample) break;
    samples.push_back(std::move(*sample));
  }
  if (samples.empty()) throw std::runtime_error(file.string() + ": holds no prompts");
  return samples;
}

}  // namespace namm::tasks
