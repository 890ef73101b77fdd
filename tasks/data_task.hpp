#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tasks/task.hpp"

namespace namm::tasks {

/// Which prompts of a file a split sees.
enum class FileSplits {
  disjoint,  ///< of every five documents three are train, one validation, one test; a plain text is cut 60 : 20 : 20
  shared,    ///< every split sees every prompt: to evaluate on the user's own file
};

/// A task over prompts read from a file, so that files and generators can be used alike. `make` takes the prompt number
/// `request.index` modulo the split's size, in the file's order.
///
/// Prompts on one context belong to one document, and so to one split (and to one `Sample::unit`): the same file always splits
/// the same way.
///
/// Lengths: a context longer than `length_tokens` loses its middle, as LongBench does (arXiv 2308.14508, section 4), and
/// `Sample::cut_tokens` says how much; a shorter one stays as it is. Of a plain text, each prompt is a window of `length_tokens`
/// tokens that begins at a random word; the seed decides where. `length_tokens` 0 means the whole context or text.
class DataTask final : public Task {
 public:
  /// @param samples  as `load_prompts` gives them. Throws std::invalid_argument if there are none.
  DataTask(std::string name, std::vector<Sample> samples, FileSplits splits);

  std::string_view name() const override { return name_; }
  /// Throws std::invalid_argument if the split is empty (disjoint splits of fewer than five documents).
  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override;
  /// The most that a prompt asks for (`Sample::answer_tokens`); 128 for one with an answer of more than 200 bytes, else 32.
  int max_answer_tokens() const override { return max_answer_tokens_; }
  /// Prompts of the split; a plain text counts as one.
  std::size_t size(Split split) const { return members_[static_cast<std::size_t>(split)].size(); }
  /// Prompt numbers from 0 on that give different prompts: size(), or kEndless where all of them are plain texts, of which every
  /// number is a window of its own (in a text that is longer than the window).
  std::size_t different(Split split) const;
  static constexpr std::size_t kEndless = static_cast<std::size_t>(-1);
  /// Whether there are nothing but plain texts, without questions.
  bool is_plain() const;
  /// Different contexts.
  std::size_t documents() const;
  /// Prompts of the file that are left out because they stood there before.
  std::size_t repeated() const { return repeated_; }
  /// As in the file, of all splits, each once and with an id of its own.
  const std::vector<Sample>& samples() const { return samples_; }

 private:
  Sample window(const SampleRequest& request, const TokenCounter& count_tokens, const Sample& text) const;

  std::string name_;
  std::vector<Sample> samples_;
  FileSplits splits_;
  std::size_t repeated_ = 0;
  std::vector<std::size_t> members_[3];
  int max_answer_tokens_;
};

/// The task of a prompt file, named after it. Throws as `load_prompts`.
std::unique_ptr<DataTask> make_data_task(const std::filesystem::path& file, FileSplits splits);

/// The text without its middle, so that at most `length_tokens` tokens are left (as many bytes of the beginning as of the
/// end, whole characters); the text itself if it fits.
std::string cut_middle(const std::string& text, std::size_t length_tokens, const TokenCounter& count_tokens);

}  // namespace namm::tasks
