#include "evolve/group_queue.hpp"

namespace namm::evolve {
namespace {

constexpr std::size_t kMostPrompts = 1 << 14;  // a run with new prompts in every generation would collect ever more

}  // namespace

int& PromptHolders::of(const Prompt& prompt) {
  return ranks_.try_emplace(token_hash(prompt), kNobody).first->second;
}

void PromptHolders::limit() {
  if (ranks_.size() > kMostPrompts) ranks_.clear();
}

GroupQueue::GroupQueue(const UnitBatch& batch, PromptHolders& holders) : shares_(batch.fitness.together() > 1) {
  holders.limit();
  std::vector<int*> known(batch.prompts.size());  // a prompt is hashed once
  for (std::size_t g = 0; g < batch.groups.size(); ++g) {
    const std::size_t prompt = batch.prompt_of(g);
    if (known[prompt] == nullptr) known[prompt] = &holders.of(batch.prompts[prompt]);
    groups_.push_back({prompt, known[prompt]});
  }
}

std::optional<std::size_t> GroupQueue::take(int rank) {
  while (first_ < groups_.size() && groups_[first_].taken) ++first_;
  if (first_ == groups_.size()) return std::nullopt;
  std::size_t chosen = first_;
  for (std::size_t g = first_, best = 4; shares_ && g < groups_.size() && best > 0; ++g) {
    const Place& place = groups_[g];
    if (place.taken) continue;
    const bool others = *place.holder != PromptHolders::kNobody && *place.holder != rank, busy = working_[place.prompt] > 0;
    const std::size_t cost = (others ? 2 : 0) + (busy ? 1 : 0);
    if (cost >= best) continue;
    best = cost;
    chosen = g;
  }
  Place& place = groups_[chosen];
  place.taken = true;
  if (*place.holder == PromptHolders::kNobody) *place.holder = rank;
  ++working_[place.prompt];
  return chosen;
}

void GroupQueue::done(std::size_t group) {
  --working_[groups_[group].prompt];
}

}  // namespace namm::evolve
