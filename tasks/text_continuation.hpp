#pragma once
#include <memory>
#include <string>

#include "tasks/data_task.hpp"

namespace namm::tasks {

/// Plain texts of a file as prompts that can be scored: of each window the last 32 words, or a quarter if it is short, are the
/// answer, as in the task `text`. Likelihood and fidelity count; the score (ROUGE-L) is low even for good models. Windows, splits
/// and prompt numbers are those of the file's own task.
class TextContinuation final : public Task {
 public:
  /// Throws std::invalid_argument unless the texts are plain.
  explicit TextContinuation(std::shared_ptr<const DataTask> texts);
  std::string_view name() const override { return texts_->name(); }
  /// Throws std::invalid_argument if a text has fewer than four words.
  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override;
  int max_answer_tokens() const override { return 64; }

 private:
  std::shared_ptr<const DataTask> texts_;
};

}  // namespace namm::tasks
