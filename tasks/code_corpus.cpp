#include "tasks/code_corpus.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "base/utf8.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 200'000;
constexpr std::uintmax_t kSmallest = 1 << 10, kLargestFile = 256 << 10;

bool is_source(const fs::path& path) {
  static constexpr std::array<std::string_view, 17> kEndings = {".h",   ".hh",  ".hpp", ".hxx", ".c",  ".cc",
                                                                ".cpp", ".cxx", ".inl", ".ipp", ".py", ".java",
                                                                ".cs",  ".go",  ".rs",  ".js",  ".ts"};
  return std::find(kEndings.begin(), kEndings.end(), path.extension().string()) != kEndings.end();
}

class CodeLines final : public SentenceSource {
 public:
  CodeLines(std::shared_ptr<const CodeCorpus> corpus, Split split, Rng rng)
      : corpus_(std::move(corpus)), split_(split), rng_(std::move(rng)) {}
  Sentence next() override {
    for (bool paragraph = false;; paragraph = true) {
      if (!file_ || next_ == file_->lines.size()) {
        file_ = corpus_->draw(split_, rng_);
        next_ = 0;
        return {"// FILE: " + file_->path, true, true};
      }
      const std::string_view line = file_->lines[next_++];
      if (line.find_first_not_of(" \t") != std::string_view::npos) return {std::string(line), paragraph, true};
    }
  }

 private:
  std::shared_ptr<const CodeCorpus> corpus_;
  Split split_;
  Rng rng_;
  std::shared_ptr<const CodeFile> file_;
  std::size_t next_ = 0;
};

}  // namespace

CodeCorpus::CodeCorpus(fs::path folder) : folder_(std::move(folder)) {
  const std::string where = "code: " + folder_.string();
  std::error_code error;
  if (!fs::is_directory(folder_, error))
    throw std::runtime_error(where + " must be a folder with source files, is not; check the path");
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator at(folder_, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end && found.size() < kMostFiles; at.increment(error)) {
    std::error_code unreadable;
    if (at->is_symlink(unreadable) || !at->is_regular_file(unreadable) || !is_source(at->path())) continue;
    const std::uintmax_t bytes = at->file_size(unreadable);
    if (unreadable || bytes < kSmallest || bytes > kLargestFile) continue;
    found.push_back(at->path().lexically_relative(folder_).generic_string());
  }
  std::sort(found.begin(), found.end());
  for (std::string& path : found) paths_[static_cast<std::size_t>(split_of_needle(path))].push_back(std::move(path));
  for (const Split split : {Split::train, Split::validation, Split::test})
    if (size(split) < 2)
      throw std::runtime_error(where + " must hold source files of 1 to 256 KiB for every split, has " +
                               std::to_string(size(split)) + " for " + std::string(to_string(split)) + " (" +
                               std::to_string(found.size()) + " in all); give a folder with more");
}

std::shared_ptr<const CodeFile> CodeCorpus::read(Split split, std::size_t index) const {
  auto file = std::make_shared<CodeFile>();
  file->path = paths_[static_cast<std::size_t>(split)].at(index);
  std::ifstream stream(folder_ / file->path, std::ios::binary);
  std::string& text = file->text;
  text.resize(kLargestFile + 1);
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.empty() || text.size() > kLargestFile || text.find('\0') != std::string::npos ||
      first_invalid_utf8(text) != text.size())
    return nullptr;
  std::erase(text, '\r');
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    file->lines.push_back(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return file;
}

std::shared_ptr<const CodeFile> CodeCorpus::draw(Split split, Rng& rng) const {
  for (int tries = 0; tries < 100; ++tries)
    if (auto file = read(split, rng.below(size(split)))) return file;
  throw std::runtime_error("code: files under " + folder_.string() +
                           " must be readable UTF-8 text, 100 of them were not; give another folder");
}

std::unique_ptr<SentenceSource> CodeHaystack::open(Split split, Rng rng) const {
  return std::make_unique<CodeLines>(corpus_, split, std::move(rng));
}

std::shared_ptr<const CodeCorpus> system_headers() {
  static const auto corpus = [] {
    try {
      return std::make_shared<const CodeCorpus>("/usr/include");
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(std::string(error.what()) + ", with --haystack code:FOLDER, or install headers (libc6-dev)");
    }
  }();
  return corpus;
}

std::shared_ptr<const CodeCorpus> corpus_of(const std::shared_ptr<const Haystack>& haystack) {
  const auto* code = dynamic_cast<const CodeHaystack*>(haystack.get());
  return code ? code->corpus() : system_headers();
}

std::string shown(const CodeFile& file) {
  std::string text = "// FILE: " + file.path + "\n" + file.text;
  if (text.back() != '\n') text += '\n';
  return text;
}

}  // namespace namm::tasks
