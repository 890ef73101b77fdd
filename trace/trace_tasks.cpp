#include "trace/trace_tasks.hpp"

#include <algorithm>
#include <stdexcept>

namespace namm::trace {

TraceTask::TraceTask(std::string name, const Reader& trace) : name_(std::move(name)) {
  for (std::size_t i = 0; i < trace.prompts().size(); ++i) {
    const PromptFacts& facts = trace.prompts()[i].facts;
    if (facts.task != name_) continue;
    for (const tasks::Split split : {tasks::Split::train, tasks::Split::validation, tasks::Split::test})
      if (facts.split == to_string(split)) members_[static_cast<std::size_t>(split)].emplace_back(i, facts.id);
  }
}

tasks::Sample TraceTask::make(const tasks::SampleRequest& request, const tasks::TokenCounter&) const {
  const auto& members = members_[static_cast<std::size_t>(request.split)];
  if (members.empty())
    throw std::invalid_argument("trace: task '" + name_ + "' must have " + std::string(to_string(request.split)) +
                                " prompts, has none; record some (namm trace --prompts, --validation)");
  const auto& [number, id] = members[request.index % members.size()];
  tasks::Sample out;
  out.id = id;
  out.task = name_;
  out.context = std::to_string(number);
  return out;
}

std::vector<std::shared_ptr<const TraceTask>> trace_tasks(const Reader& trace) {
  std::vector<std::shared_ptr<const TraceTask>> out;
  for (const PromptRecord& prompt : trace.prompts())
    if (std::none_of(out.begin(), out.end(), [&](const auto& task) { return task->name() == prompt.facts.task; }))
      out.push_back(std::make_shared<TraceTask>(prompt.facts.task, trace));
  return out;
}

}  // namespace namm::trace
