#include "tasks/text_tokens.hpp"

namespace namm::tasks {
namespace {

/// Bytes of the character that begins at `lead`.
std::size_t character_bytes(unsigned char lead) {
  return lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
}

/// U+2E80 is E2 BA 80: Chinese, Japanese and Korean scripts and what lies above.
bool stands_alone(std::string_view character) {
  return character.size() >= 3 && character >= "\xE2\xBA\x80";
}

/// ASCII punctuation, and general and CJK punctuation as Chinese answers have it.
bool is_punctuation(std::string_view character) {
  if (character.size() == 1) {
    const char c = character.front();
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  }
  return (character >= "\xE2\x80\x90" && character < "\xE2\x81\x9F") ||
         (character >= "\xE3\x80\x80" && character < "\xE3\x80\xA0") ||
         (character >= "\xEF\xBC\x81" && character < "\xEF\xBC\x90") ||
         (character >= "\xEF\xBC\x9A" && character < "\xEF\xBC\xA1");
}

}  // namespace

std::vector<std::string> overlap_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::string_view character = text.substr(i, character_bytes(static_cast<unsigned char>(c)));
    i += character.size();
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      flush();
    } else if (is_punctuation(character)) {
      continue;
    } else if (stands_alone(character)) {
      flush();
      words.emplace_back(character);
    } else {
      word += character.size() == 1 && c >= 'A' && c <= 'Z' ? std::string(1, static_cast<char>(c - 'A' + 'a'))
                                                            : std::string(character);
    }
  }
  flush();
  return words;
}

}  // namespace namm::tasks
