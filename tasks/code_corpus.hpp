#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/haystack.hpp"
#include "tasks/random.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// A source file.
struct CodeFile {
  std::string path;                     ///< below the corpus' folder
  std::string text;                     ///< UTF-8, line ends without carriage returns
  std::vector<std::string_view> lines;  ///< of `text`, without their ends
};

/// The source files under a folder: C and C++ (headers too), Python, Java, C#, Go, Rust, JavaScript, TypeScript. Links are not
/// followed; files below 1 KiB or above 256 KiB, not in UTF-8 or with NUL bytes are left out, and of more than 200,000 files the
/// rest. A file belongs to the split that a hash of its path below the folder gives, so that splits share no file and the
/// same folder gives the same prompts on every machine. Immutable; files are read when they are asked for.
class CodeCorpus {
 public:
  /// Throws std::runtime_error ("code: ...") if there is no folder or it has fewer than two source files for a split.
  explicit CodeCorpus(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::size_t size(Split split) const { return paths_[static_cast<std::size_t>(split)].size(); }
  /// File `index` of the split in the order of paths; nothing if it cannot be used after all.
  std::shared_ptr<const CodeFile> read(Split split, std::size_t index) const;
  /// A usable file at random. Throws std::runtime_error if 100 in a row are not.
  std::shared_ptr<const CodeFile> draw(Split split, Rng& rng) const;

 private:
  std::filesystem::path folder_;
  std::array<std::vector<std::string>, 3> paths_;
};

/// Source code as filler: the files of a folder in random order, each line a sentence.
class CodeHaystack final : public Haystack {
 public:
  explicit CodeHaystack(std::shared_ptr<const CodeCorpus> corpus) : corpus_(std::move(corpus)) {}
  std::string_view name() const override { return "code"; }
  std::unique_ptr<SentenceSource> open(Split split, Rng rng) const override;
  const std::shared_ptr<const CodeCorpus>& corpus() const { return corpus_; }

 private:
  std::shared_ptr<const CodeCorpus> corpus_;
};

/// The headers installed on this machine, /usr/include. Read once. Throws as CodeCorpus, naming the packages that have some.
std::shared_ptr<const CodeCorpus> system_headers();
/// The corpus of a code haystack; the system's headers for any other haystack and for null.
std::shared_ptr<const CodeCorpus> corpus_of(const std::shared_ptr<const Haystack>& haystack);

/// "// FILE: path" and the text, as a part of a context.
std::string shown(const CodeFile& file);

}  // namespace namm::tasks
