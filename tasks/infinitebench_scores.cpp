#include "tasks/infinitebench_scores.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ascii.hpp"
#include "tasks/text_tokens.hpp"

namespace namm::tasks {
namespace {

std::string_view skip_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::vector<std::string> words_of(std::string_view text, std::string_view separators) {
  std::vector<std::string> words;
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    if (!is_space(c) && separators.find(c) == std::string_view::npos) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

/// With an optional sign; nothing if there is more, or it does not fit.
std::optional<std::int64_t> integer(std::string_view text) {
  if (text.size() > 1 && text.front() == '+' && is_digit(text[1])) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// Runs of digits, and what is between them is passed over.
std::vector<std::string_view> digit_runs(std::string_view text) {
  std::vector<std::string_view> runs;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end > i) runs.push_back(text.substr(i, end - i));
    i = end + 1;
  }
  return runs;
}

bool any(std::span<const std::string> answers, auto&& matches) {
  return std::any_of(answers.begin(), answers.end(),
                     [&](const std::string& answer) { return !skip_space(answer).empty() && matches(answer); });
}

/// The text with these signs as spaces and runs of spaces as one.
std::string with_single_spaces(std::string_view text, std::string_view signs) {
  std::string out;
  for (const char c : text) {
    const bool space = c == ' ' || signs.find(c) != std::string_view::npos;
    if (!space)
      out += c;
    else if (out.empty() || out.back() != ' ')
      out += ' ';
  }
  return out;
}

/// What stands behind the first of the phrases that occurs, and one more byte; nothing if none occurs; "" at the end.
std::optional<std::string_view> after_phrase(std::string_view text, std::initializer_list<std::string_view> phrases) {
  for (const std::string_view phrase : phrases)
    if (const std::size_t at = text.find(phrase); at != std::string_view::npos)
      return text.substr(std::min(text.size(), at + phrase.size() + 1));
  return std::nullopt;
}

}  // namespace

double score_first_integer(std::span<const std::string> answers, std::string_view generated) {
  const auto runs = digit_runs(generated);
  return !runs.empty() && any(answers, [&](const std::string& answer) { return runs.front() == answer; });
}

double score_kv_retrieval(std::span<const std::string> answers, std::string_view generated) {
  const auto words = words_of(generated, ":\"'.,?!{}");
  return any(answers, [&](const std::string& answer) { return std::find(words.begin(), words.end(), answer) != words.end(); });
}

double score_code_run(std::span<const std::string> answers, std::string_view generated) {
  const auto words = words_of(generated, ".`'\":");
  if (words.empty()) return 0;
  const auto value = integer(words.back());
  return value && any(answers, [&](const std::string& answer) { return integer(answer) == value; });
}

double score_code_debug(std::span<const std::string> answers, std::string_view generated) {
  generated = skip_space(generated);
  std::string text(generated);
  for (const std::string_view word : {"Option", "option"})
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word)) text.replace(at, word.size(), 1, ' ');
  text = with_single_spaces(text, "\n`'\"-*");
  const auto rest = after_phrase(text, {"answer is:", "is:", "answer:"});
  return any(answers, [&](const std::string& answer) {
    const std::string letter = answer.substr(0, 1),
                      name = answer.size() > 3 && answer.compare(1, 2, ". ") == 0 ? answer.substr(3) : answer;
    if (generated.starts_with(letter + ".") || generated.starts_with(letter + ":")) return true;
    return rest && (rest->starts_with(letter) || rest->starts_with(name));
  });
}

double score_choice(std::span<const std::string> answers, std::string_view generated) {
  generated = skip_space(generated);
  if (generated.empty()) return 0;
  const auto is_letter = [](std::string_view word) { return word.size() == 1 && word >= "A" && word <= "D"; };
  const auto accepted = [&](std::string_view word) {
    return any(answers, [&](const std::string& answer) { return word == answer; });
  };
  std::string_view trimmed = generated;
  while (!trimmed.empty() && is_space(trimmed.back())) trimmed.remove_suffix(1);
  if (!is_letter(trimmed.substr(0, 1)) && accepted(trimmed)) return 1;
  if (is_letter(generated.substr(0, 1))) return accepted(generated.substr(0, 1));
  const std::string text = with_single_spaces(generated, "\n\"'.,?!{}");
  if (const auto rest = after_phrase(text, {"answer is:", "answer:", "answer is", "option is"}))
    return any(answers, [&](const std::string& answer) { return rest->starts_with(answer); });
  for (const std::string& word : words_of(text, ""))
    if (is_letter(word) || word == "AB" || word == "BC" || word == "CD" || word == "ABC" || word == "BCD" || word == "ABCD")
      return accepted(word);
  return 0;
}

double score_dialogue(std::span<const std::string> answers, std::string_view generated) {
  auto words = words_of(generated, ":\"'.,?!{}");
  for (std::string& word : words)
    for (char& c : word)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return !answers.empty() && any(answers.first(1), [&](const std::string& answer) {
    return std::find(words.begin(), words.end(), answer) != words.end();
  });
}

double score_math_find(std::span<const std::string> answers, std::string_view generated) {
  const std::size_t begin = std::min(generated.find_first_of("0123456789"), generated.size());
  std::size_t end = begin;
  while (end < generated.size() && is_digit(generated[end])) ++end;
  if (end + 1 < generated.size() && generated[end] == '.' && is_digit(generated[end + 1]))
    for (++end; end < generated.size() && is_digit(generated[end]);) ++end;
  const std::string_view number = generated.substr(begin, end - begin);
  if (number.empty()) return 0;
  return any(answers, [&](const std::string& answer) {
    if (answer.find('.') == std::string::npos) return integer(number) && integer(number) == integer(answer);
    double wanted = 0, got = 0;
    const auto left = std::from_chars(answer.data(), answer.data() + answer.size(), wanted);
    const auto right = std::from_chars(number.data(), number.data() + number.size(), got);
    return left.ec == std::errc() && right.ec == std::errc() && wanted == got;
  });
}

double score_math_calc(std::span<const std::string> answers, std::string_view generated) {
  const auto got = digit_runs(generated);
  double best = 0;
  for (const std::string& answer : answers) {
    const auto wanted = words_of(answer, ",[]");
    std::size_t right = 0;
    while (right < wanted.size() && right < got.size() && integer(wanted[right]) && integer(got[right]) == integer(wanted[right]))
      ++right;
    if (!wanted.empty()) best = std::max(best, static_cast<double>(right) / static_cast<double>(wanted.size()));
  }
  return best;
}

double score_char_f1(std::span<const std::string> answers, std::string_view generated) {
  const auto count = [](std::string_view text) {
    std::map<std::string, int> times;
    for (const std::string& word : overlap_words(text))  // without punctuation and white space, in lower case
      for (std::size_t i = 0; i < word.size();) {
        const auto lead = static_cast<unsigned char>(word[i]);
        const std::string character = word.substr(i, lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1);
        i += character.size();
        ++times[character];
      }
    return times;
  };
  const auto total = [](const std::map<std::string, int>& times) {
    std::size_t sum = 0;
    for (const auto& [character, n] : times) sum += static_cast<std::size_t>(n);
    return sum;
  };
  const auto got = count(generated);
  double best = 0;
  for (const std::string& answer : answers) {
    const auto wanted = count(answer);
    std::size_t common = 0;
    for (const auto& [character, n] : wanted)
      if (const auto found = got.find(character); found != got.end())
        common += static_cast<std::size_t>(std::min(n, found->second));
    best = std::max(best, f1(common, total(got), total(wanted)));
  }
  return best;
}

}  // namespace namm::tasks
