#include "tasks/haystack.hpp"

#include <array>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "base/ascii.hpp"
#include "base/utf8.hpp"
#include "tasks/code_corpus.hpp"
#include "tasks/prose.hpp"

namespace namm::tasks {
namespace {

class ProseHaystack final : public Haystack {
 public:
  std::string_view name() const override { return "prose"; }
  std::unique_ptr<SentenceSource> open(Split, Rng rng) const override { return std::make_unique<Prose>(std::move(rng)); }
};

constexpr std::array<std::string_view, 5> kRepeated = {"The grass is green.", "The sky is blue.", "The sun is yellow.",
                                                       "Here we go.", "There and back again."};

class RepeatedSource final : public SentenceSource {
 public:
  Sentence next() override { return {std::string(kRepeated[next_++ % kRepeated.size()]), false}; }

 private:
  std::size_t next_ = 0;
};

class RepeatedHaystack final : public Haystack {
 public:
  std::string_view name() const override { return "repeated"; }
  std::unique_ptr<SentenceSource> open(Split, Rng) const override { return std::make_unique<RepeatedSource>(); }
};

class FileSource final : public SentenceSource {
 public:
  FileSource(std::shared_ptr<const std::vector<Sentence>> sentences, std::size_t begin, std::size_t end, std::size_t first)
      : sentences_(std::move(sentences)), begin_(begin), end_(end), next_(first) {}
  Sentence next() override {
    const Sentence& sentence = (*sentences_)[next_];
    if (++next_ == end_) next_ = begin_;
    return sentence;
  }

 private:
  std::shared_ptr<const std::vector<Sentence>> sentences_;
  std::size_t begin_, end_, next_;
};

class FileHaystack final : public Haystack {
 public:
  explicit FileHaystack(std::vector<Sentence> sentences)
      : sentences_(std::make_shared<const std::vector<Sentence>>(std::move(sentences))) {}
  std::string_view name() const override { return "file"; }
  std::unique_ptr<SentenceSource> open(Split split, Rng rng) const override {
    const std::size_t third = sentences_->size() / 3;
    const std::size_t begin = third * static_cast<std::size_t>(split);
    return std::make_unique<FileSource>(sentences_, begin, begin + third, begin + rng.below(third));
  }

 private:
  std::shared_ptr<const std::vector<Sentence>> sentences_;
};

/// Cuts after . ! ? (and closing quotes) before white space, at empty lines, and at 600 bytes where nothing else ends it.
/// Runs of white space become one space; control characters become spaces.
std::vector<Sentence> cut_into_sentences(std::string_view text) {
  constexpr std::size_t kLongest = 600;
  std::vector<Sentence> sentences;
  Sentence current;
  bool paragraph = true;
  const auto flush = [&] {
    while (!current.text.empty() && current.text.back() == ' ') current.text.pop_back();
    if (current.text.empty()) return;
    current.starts_paragraph = paragraph;
    paragraph = false;
    sentences.push_back(std::move(current));
    current = {};
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (is_space(c) || control) {
      std::size_t newlines = 0, k = i;
      for (; k < text.size() && is_space(text[k]); ++k) newlines += text[k] == '\n';
      if (newlines > 1) {
        flush();
        paragraph = true;
      }
      std::size_t last = current.text.size();
      while (last > 0 && (current.text[last - 1] == '"' || current.text[last - 1] == '\'' || current.text[last - 1] == ')'))
        --last;
      const char stop = last > 0 ? current.text[last - 1] : ' ';
      if (stop == '.' || stop == '!' || stop == '?' || current.text.size() >= kLongest) flush();
      if (!current.text.empty() && current.text.back() != ' ') current.text += ' ';
      if (k > i) i = k - 1;
      continue;
    }
    current.text += c;
    if (current.text.size() >= 2 * kLongest && (i + 1 == text.size() || (static_cast<unsigned char>(text[i + 1]) & 0xC0) != 0x80))
      flush();  // one endless "word": cut between two characters
  }
  flush();
  return sentences;
}

}  // namespace

std::shared_ptr<const Haystack> prose_haystack() {
  static const auto haystack = std::make_shared<const ProseHaystack>();
  return haystack;
}

std::shared_ptr<const Haystack> repeated_haystack() {
  static const auto haystack = std::make_shared<const RepeatedHaystack>();
  return haystack;
}

std::shared_ptr<const Haystack> file_haystack(const std::filesystem::path& file) {
  constexpr std::size_t kLargest = std::size_t{256} << 20;
  constexpr std::size_t kFewest = 30;
  const std::string where = file.string() + ": ";
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw std::runtime_error(where + "is a folder; give a text file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error(where + "cannot be opened");
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), stream.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kLargest) throw std::runtime_error(where + "a haystack may have at most 256 MiB; cut the file");
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (const std::size_t bad = first_invalid_utf8(text); bad != text.size())
    throw std::runtime_error(where + "is not UTF-8 text (byte " + std::to_string(bad) + "); convert it first");
  std::vector<Sentence> sentences = cut_into_sentences(text);
  if (sentences.size() < kFewest)
    throw std::runtime_error(where + "a haystack needs at least 30 sentences, found " + std::to_string(sentences.size()));
  return std::make_shared<const FileHaystack>(std::move(sentences));
}

std::shared_ptr<const Haystack> make_haystack(const std::string& name_or_file) {
  if (name_or_file == "own") return nullptr;
  if (name_or_file == "prose") return prose_haystack();
  if (name_or_file == "repeated") return repeated_haystack();
  if (name_or_file == "code") return std::make_shared<const CodeHaystack>(system_headers());
  if (name_or_file.starts_with("code:"))
    return std::make_shared<const CodeHaystack>(std::make_shared<const CodeCorpus>(name_or_file.substr(5)));
  const std::string_view prefix = "file:";
  if (name_or_file.starts_with(prefix)) return file_haystack(name_or_file.substr(prefix.size()));
  std::error_code error;
  if (std::filesystem::exists(name_or_file, error)) return file_haystack(name_or_file);
  throw std::invalid_argument("haystack must be own, prose, repeated, code or an existing text file, got '" + name_or_file + "'");
}

}  // namespace namm::tasks
