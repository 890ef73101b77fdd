// A project that knows only the installed package: the newest 16 of 100 tokens and 4 sinks stay, by the policy `streaming`.
#include <namm/namm.hpp>

#include <cstdio>
#include <numeric>
#include <vector>

#ifdef _OPENMP
#error "namm must leave the flags of who links it as they were, has added OpenMP"
#endif

int main() {
  std::vector<std::int32_t> positions(100);
  std::iota(positions.begin(), positions.end(), 0);
  namm::HeadTokens tokens;
  tokens.positions = positions;
  tokens.tokens_seen = 100;
  const namm::CachePolicy policy = namm::load_policy("streaming").with_budget("20").with_protection(4, 16);
  const namm::Selection selection = namm::update_heads(policy, std::vector{tokens}, 100, 512);
  std::printf("kept %zu of %zu; %zu policies\n", selection.kept[0].size(), positions.size(), namm::policy_registry().size());
  return selection.kept[0].size() == 20 && selection.kept[0].front() == 0 && selection.kept[0].back() == 99 ? 0 : 1;
}
