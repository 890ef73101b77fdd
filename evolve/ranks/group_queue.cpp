#include "evolve/ranks/group_queue.hpp"

namespace namm::evolve {
namespace {

constexpr std::size_t kMostPrompts = 1 << 14;  // a run with new prompts in every generation meets ever more

}  // namespace

int& PromptHolders::of(const Prompt& prompt) {
  return ranks_.try_emplace(prompt.sample.id + " " + std::to_string(prompt.context.size()), kNobody).first->second;
}

void PromptHolders::limit() {
  if (ranks_.size() > kMostPrompts) ranks_.clear();
}

GroupQueue::GroupQueue(const UnitBatch& batch, PromptHolders& holders) : shares_(batch.fitness.together() > 1) {
  holders.limit();
  for (std::size_t g = 0; g < batch.groups.size(); ++g)
    holders_.push_back(&holders.of(batch.prompts[batch.group(g).front().prompt]));
}

std::optional<std::size_t> GroupQueue::take(int rank) {
  while (first_ < holders_.size() && holders_[first_] == nullptr) ++first_;
  if (first_ == holders_.size()) return std::nullopt;
  std::size_t chosen = first_;
  for (std::size_t g = first_; shares_ && g < holders_.size(); ++g) {
    if (holders_[g] == nullptr || (*holders_[g] != PromptHolders::kNobody && *holders_[g] != rank)) continue;
    chosen = g;
    break;
  }
  if (*holders_[chosen] == PromptHolders::kNobody) *holders_[chosen] = rank;
  holders_[chosen] = nullptr;
  return chosen;
}

}  // namespace namm::evolve
