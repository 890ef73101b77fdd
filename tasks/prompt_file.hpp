#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/line_reader.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// What a prompt file may hold; beyond it, an error names the limit. The defaults hold any published benchmark.
struct PromptFileLimits {
  std::size_t line_bytes = std::size_t{64} << 20;
  std::size_t text_bytes = std::size_t{256} << 20;  ///< of a plain text file
  std::size_t depth = 16;                           ///< of nested JSON
  std::size_t values = 1'000'000;                   ///< of one line's JSON
  std::size_t answers = 1000;                       ///< per prompt
};

/// Reads a prompt file, one prompt at a time.
///
/// A file whose first visible character is '{', or that ends in .jsonl or .ndjson, has one JSON object per line:
///   `context`        string; what the memory compresses
///   `question`       string, needs `answers`
///   `answers`        list of accepted strings, or one string; numbers are taken as written
///   `answer_prefix`  string; the first words of the answer, given to the model
///   `task`, `id`     strings (id also a number); default: the file's name and FILE:LINE
///   `metric`         a name of metrics.cpp; default `contains`
///   `choices`        list of strings: the classes or options that the answer is one of, for metrics that look at them
///   `answer_tokens`  1 to 4096: tokens that the answer needs at most; default 32, with long answers 128
/// With `context` alone it is plain text. Fields of other names are ignored. Also recognised: LongBench (arXiv 2308.14508:
/// `input`, `answers`, `dataset`), LongBench v2 (arXiv 2412.15204: `choice_A` ... `choice_D`, `answer`) and InfiniteBench
/// (arXiv 2402.13718: `input`, `answer`, `options`); see benchmark_records.hpp. Any other file is one plain text.
///
/// So that the parts do not run into each other, an empty line is put before a `question` and a space before an
/// `answer_prefix` that neither begin with white space nor follow it.
class PromptFile {
 public:
  /// Throws std::runtime_error ("FILE: ...") if it cannot be opened.
  explicit PromptFile(const std::filesystem::path& file, PromptFileLimits limits = {});

  /// The next prompt, nothing at the end. Throws std::runtime_error, "FILE:LINE: what is wrong", one line.
  std::optional<Sample> next();

 private:
  Sample read_text();

  LineReader reader_;
  PromptFileLimits limits_;
  bool json_lines_;
  bool done_ = false;
};

/// The whole file, or its first `most` prompts if that is not 0. Throws as PromptFile, and if there are no prompts.
std::vector<Sample> load_prompts(const std::filesystem::path& file, std::size_t most = 0);

}  // namespace namm::tasks
