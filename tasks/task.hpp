#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm::tasks {

/// Which prompts: disjoint by construction, whatever the seed.
enum class Split { train, validation, test };
Split parse_split(std::string_view name);
std::string_view to_string(Split split);

/// A part of a text, in bytes.
struct Extent {
  std::size_t offset = 0, bytes = 0;
};

/// One prompt. The full text is context + question + answer_prefix; the model continues with the answer.
/// Generated prompts end without a space: the model's continuation is one space and then the answer.
struct Sample {
  std::string id;  ///< reproducible: task/split/seed/index, or what a file calls it
  std::string task;
  std::string context;        ///< what the memory compresses
  std::string question;       ///< empty for plain text
  std::string answer_prefix;  ///< first words of the answer, given to the model
  /// Accepted answers; [0] is the gold answer whose likelihood is measured. Stored WITHOUT a leading space: who measures
  /// or compares adds one space unless the prompt is empty or ends in white space (see `continuation`).
  std::vector<std::string> answers;
  std::string metric = {};                ///< name of the score (scores.hpp); empty: the task's own
  std::vector<std::string> choices = {};  ///< the classes or options that the answer is one of; empty where it is free
  int answer_tokens = 0;                  ///< tokens that its answer needs at most; 0: as the task says (`max_answer_tokens`)
  std::size_t needle_offset = npos;       ///< byte in `context` where the sentence with the gold answer begins; npos: unknown
  /// Where in `context` the sentences stand that tell the answer, one for each part of an answer with several parts, in their
  /// order; empty where the whole text tells it (a count, the commonest words) or where it is unknown.
  std::vector<Extent> evidence = {};
  /// Prompts of equal unit are not independent: they share a needle and filler (one number at two lengths) or a document (several
  /// questions on it).
  std::string unit = {};
  std::size_t cut_tokens = 0;  ///< tokens of the context that were left out to meet a length

  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

/// context + question + answer_prefix.
std::string prompt_text(const Sample& sample);
/// What the model should write after `prompt_text` for this answer: the answer with one space before it, without one if the
/// prompt is empty or already ends in white space.
std::string continuation(const Sample& sample, std::string_view answer);

/// Number of tokens of a text in the host's own vocabulary.
using TokenCounter = std::function<std::size_t(std::string_view)>;

/// What to generate. The same values give the same text on every machine.
struct SampleRequest {
  Split split = Split::train;
  std::uint64_t seed = 0;
  std::uint64_t index = 0;  ///< prompt number
  /// Target for the context, never exceeded, at most `kMostLengthTokens`. Missed by at most 2 % or 16 tokens, by tasks made of
  /// records (a key with its value, a numbered word) by at most one of these where that is more.
  std::size_t length_tokens = 512;
};
/// Longer requests are refused: beyond any model, and a slip of the pen would fill the memory.
constexpr std::size_t kMostLengthTokens = std::size_t{1} << 24;

class Haystack;  // haystack.hpp: the filler text of the retrieval tasks

/// A generator of prompts.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::string_view name() const = 0;
  virtual Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const = 0;
  /// Score in [0, 1] of a generated answer against the sample's accepted answers. Default: the sample's metric, else
  /// `score_prefix`: 1 if the trimmed text starts with an accepted answer that ends there (4821 does not match 48213).
  virtual double score(const Sample& sample, std::string_view generated) const;
  /// Upper bound on the tokens an answer needs.
  virtual int max_answer_tokens() const { return 16; }
};

struct TaskEntry {
  std::string_view name;
  std::string_view family;  ///< basic (what is meant without a choice), or where it is from: ruler, infinitebench ...
  std::string_view summary;
  std::unique_ptr<Task> (*make)();  ///< on its own filler
  std::unique_ptr<Task> (*make_on)(std::shared_ptr<const Haystack> haystack);
};
std::span<const TaskEntry> task_registry();
/// Names of tasks in the given order, each once: a family stands for its tasks, "all" for every task. Other words are kept as
/// they are; `make_task` refuses them.
std::vector<std::string> task_names(std::span<const std::string> names_and_families);
/// Throws std::invalid_argument that names the nearest tasks if `name` is unknown.
std::unique_ptr<Task> make_task(std::string_view name);
/// The same on another filler text; null means its own: generated prose, or what its definition says.
std::unique_ptr<Task> make_task(std::string_view name, std::shared_ptr<const Haystack> haystack);

}  // namespace namm::tasks
