#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tasks/random.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// One sentence of filler, without white space at its ends.
struct Sentence {
  std::string text;
  bool starts_paragraph = false;
  bool own_line = false;  ///< a line end before and after it instead of a space
};

/// An endless run of filler sentences.
class SentenceSource {
 public:
  virtual ~SentenceSource() = default;
  virtual Sentence next() = 0;
  /// A sentence of a few words, to close a small gap; may be as long as any other where the text offers none.
  virtual Sentence next_short() { return next(); }
  /// Whether the beginning of a sentence may stand for it, to meet a length.
  virtual bool may_be_cut() const { return true; }
};

/// The filler text that needles are hidden in. Immutable: one object may serve several threads.
class Haystack {
 public:
  virtual ~Haystack() = default;
  virtual std::string_view name() const = 0;
  /// The text of one prompt. `rng` is consumed; equal streams give equal text.
  virtual std::unique_ptr<SentenceSource> open(Split split, Rng rng) const = 0;
};

/// `prose`: generated English prose (prose.hpp), endless and different for every prompt.
std::shared_ptr<const Haystack> prose_haystack();
/// `repeated`: "The grass is green. The sky is blue. ..." over and over, as passkey retrieval was first defined
/// (Mohtashami & Jaggi, arXiv 2305.16300). The same for every prompt: easier than prose.
std::shared_ptr<const Haystack> repeated_haystack();
/// `file`: a UTF-8 text file cut into sentences. Each split reads its own third of the file, from a random sentence on, and
/// starts over at the third's end. Throws std::runtime_error ("FILE: ...") if the file cannot be read, is larger than
/// 256 MiB, is not UTF-8, or has fewer than 30 sentences.
std::shared_ptr<const Haystack> file_haystack(const std::filesystem::path& file);
/// `own` (null: what each task's definition says), `prose`, `repeated`, `code` (the headers installed on this machine),
/// `code:FOLDER`, or the path of a file (with or without "file:" before it).
std::shared_ptr<const Haystack> make_haystack(const std::string& name_or_file);

}  // namespace namm::tasks
