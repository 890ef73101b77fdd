#include "evolve/fitness/make.hpp"

namespace namm::evolve {
namespace {

/// The task's score of a greedy answer of one line, in [0, 1]: the reference's fitness (arXiv 2410.13166, section 4).
class TaskScore final : public Fitness {
 public:
  std::string_view name() const override { return "task-score"; }
  Relation relation() const override { return Relation::ratio; }
  double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    present(host, memory, prompt, protocol);
    const Generation answer = host.generate(prompt.task->max_answer_tokens(), true);
    return prompt.task->score(prompt.sample, answer.text);
  }
};

}  // namespace

std::unique_ptr<Fitness> make_task_score() {
  return std::make_unique<TaskScore>();
}

}  // namespace namm::evolve
