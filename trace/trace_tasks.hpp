#pragma once
#include <memory>
#include <vector>

#include "tasks/task.hpp"
#include "trace/reader.hpp"

namespace namm::trace {

/// The recorded prompts of one task, for a TraceHost: a sample's context is the number of its prompt in the trace. Lengths are as
/// recorded, whatever is asked for.
class TraceTask final : public tasks::Task {
 public:
  TraceTask(std::string name, const Reader& trace);
  std::string_view name() const override { return name_; }
  /// `request.index` counts modulo the prompts of the split. Throws std::invalid_argument if the split has none.
  tasks::Sample make(const tasks::SampleRequest& request, const tasks::TokenCounter& count_tokens) const override;
  std::size_t size(tasks::Split split) const { return members_[static_cast<std::size_t>(split)].size(); }

 private:
  std::string name_;
  std::vector<std::pair<std::size_t, std::string>> members_[3];  ///< number in the trace, id
};

/// One per task of the trace, in order of appearance.
std::vector<std::shared_ptr<const TraceTask>> trace_tasks(const Reader& trace);

}  // namespace namm::trace
