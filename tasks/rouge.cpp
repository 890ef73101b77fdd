#include "tasks/rouge.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/ascii.hpp"

namespace namm::tasks {
namespace {

using Words = std::vector<std::string>;
constexpr std::size_t kMostRougeWords = 4096;

/// Positions in `left` of one longest common subsequence. Where two are equally long, `left_first` says at which side the
/// search gives way first; the two packages differ there, and their union over sentences depends on it.
std::vector<std::size_t> common_positions(const Words& left, const Words& right, bool left_first) {
  const std::size_t rows = left.size(), columns = right.size();
  std::vector<std::uint16_t> lengths((rows + 1) * (columns + 1), 0);
  const auto at = [&](std::size_t i, std::size_t j) -> std::uint16_t& { return lengths[i * (columns + 1) + j]; };
  for (std::size_t i = 1; i <= rows; ++i)
    for (std::size_t j = 1; j <= columns; ++j)
      at(i, j) =
          left[i - 1] == right[j - 1] ? static_cast<std::uint16_t>(at(i - 1, j - 1) + 1) : std::max(at(i - 1, j), at(i, j - 1));
  std::vector<std::size_t> positions;
  for (std::size_t i = rows, j = columns; i > 0 && j > 0;) {
    if (left[i - 1] == right[j - 1])
      positions.push_back(--i), --j;
    else if (left_first ? at(i, j - 1) > at(i - 1, j) : at(i - 1, j) <= at(i, j - 1))
      --j;
    else
      --i;
  }
  return positions;
}

/// Parts between full stops, also empty ones of white space as the package has them; "a  b" is two words.
std::vector<Words> sentences_by_stops(std::string_view text) {
  std::vector<Words> sentences;
  std::size_t words = 0;
  for (std::size_t begin = 0; begin < text.size() && words < kMostRougeWords;) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty()) continue;
    Words sentence;
    std::string word;
    const auto flush = [&] {
      if (!word.empty()) sentence.push_back(std::move(word));
      word.clear();
    };
    for (std::size_t i = 0; i < part.size() && words + sentence.size() < kMostRougeWords;) {
      const auto lead = static_cast<unsigned char>(part[i]);
      const std::string_view character = part.substr(i, lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1);
      i += character.size();
      if (is_space(character.front())) {
        flush();
      } else if (character.size() >= 3 && character >= "\xE2\xBA\x80") {
        flush();
        sentence.emplace_back(character);
      } else {
        word += character;
      }
    }
    flush();
    if (sentence.empty()) sentence.emplace_back();
    words += sentence.size();
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

std::vector<Words> sentences_by_lines(std::string_view text) {
  std::vector<Words> sentences;
  std::size_t words = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    Words sentence;
    std::string word;
    for (std::size_t i = 0; i <= line.size(); ++i) {
      char c = i < line.size() ? line[i] : ' ';
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        word += c;
      } else if (!word.empty()) {
        if (words++ < kMostRougeWords) sentence.push_back(std::move(word));
        word.clear();
      }
    }
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

std::set<std::string> different(const std::vector<Words>& sentences) {
  std::set<std::string> words;
  for (const Words& sentence : sentences) words.insert(sentence.begin(), sentence.end());
  return words;
}

double longbench_rouge(const std::string& answer, std::string_view generated) {
  const auto wanted = sentences_by_stops(answer), got = sentences_by_stops(generated);
  if (wanted.empty() || got.empty()) return 0;
  std::set<std::string> common;
  for (const Words& reference : wanted)
    for (const Words& sentence : got)
      for (const std::size_t i : common_positions(reference, sentence, false)) common.insert(reference[i]);
  const auto hits = static_cast<double>(common.size());
  const double recall = hits / static_cast<double>(different(wanted).size());
  const double precision = hits / static_cast<double>(different(got).size());
  return 2.0 * (precision * recall / (precision + recall + 1e-8));
}

double rouge_lsum(const std::string& answer, std::string_view generated) {
  const auto wanted = sentences_by_lines(answer), got = sentences_by_lines(generated);
  std::map<std::string, int> left_wanted, left_got;
  std::size_t wanted_words = 0, got_words = 0, hits = 0;
  for (const Words& sentence : wanted)
    for (const std::string& word : sentence) ++left_wanted[word], ++wanted_words;
  for (const Words& sentence : got)
    for (const std::string& word : sentence) ++left_got[word], ++got_words;
  for (const Words& reference : wanted) {
    std::set<std::size_t> positions;
    for (const Words& sentence : got)
      for (const std::size_t i : common_positions(reference, sentence, true)) positions.insert(i);
    for (const std::size_t i : positions)
      if (left_got[reference[i]] > 0 && left_wanted[reference[i]] > 0) {
        ++hits;
        --left_got[reference[i]];
        --left_wanted[reference[i]];
      }
  }
  return hits == 0 ? 0 : 2.0 * static_cast<double>(hits) / static_cast<double>(wanted_words + got_words);
}

}  // namespace

double score_longbench_rouge(std::span<const std::string> answers, std::string_view generated) {
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, longbench_rouge(answer, generated));
  return best;
}

double score_rouge_lsum(std::span<const std::string> answers, std::string_view generated) {
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, rouge_lsum(answer, generated));
  return best;
}

}  // namespace namm::tasks
