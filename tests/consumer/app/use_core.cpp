// A project that knows only the installed package: the newest 16 of 100 tokens and 4 sinks stay, by the policy `streaming`.
#include <cstdio>
#include <numeric>
#include <vector>

#include <namm/policies/registry.hpp>
#include <namm/strategy.hpp>
#include <namm/update.hpp>
#include <tasks/task.hpp>

int main() {
  std::vector<std::int32_t> positions(100);
  std::iota(positions.begin(), positions.end(), 0);
  namm::HeadTokens tokens;
  tokens.positions = positions;
  tokens.tokens_seen = 100;
  namm::SelectionSettings settings;
  settings.sinks = 4;
  settings.recent = 16;
  const auto policy = namm::make_policy("streaming");
  const namm::Selection selection = namm::plan_update(*policy, settings, std::vector{tokens}, 20);
  std::printf("kept %zu of %zu; %zu policies, %zu tasks, %zu strategies\n", selection.kept[0].size(), positions.size(),
              namm::policy_registry().size(), namm::tasks::task_registry().size(), namm::strategy_registry().size());
  return selection.kept[0].size() == 20 && selection.kept[0].front() == 0 && selection.kept[0].back() == 99 ? 0 : 1;
}
