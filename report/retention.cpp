#include "report/retention.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "report/means.hpp"

namespace namm::report {
namespace {

void add(Retention& to, const eval::RetentionDetails& details, const eval::PromptDetails& prompt) {
  const auto tokens = static_cast<std::int64_t>(details.kept_by.size());
  const auto heads = static_cast<std::int64_t>(details.heads.size());
  for (const auto& head : details.heads) to.heads[{head.layer, head.kv_head}] += {head.kept, tokens};
  auto task = std::find_if(to.tasks.begin(), to.tasks.end(), [&](const auto& t) { return t.name == details.task; });
  if (task == to.tasks.end()) task = to.tasks.insert(to.tasks.end(), {details.task, {}});
  for (std::int64_t i = 0; i < tokens; ++i) {
    const KeptCount token = {details.kept_by[static_cast<std::size_t>(i)], heads};
    to.positions[static_cast<std::size_t>(i) * Retention::kBins / static_cast<std::size_t>(tokens)] += token;
    task->kinds[eval::kKindLetters.find(prompt.kinds[static_cast<std::size_t>(i)])] += token;
  }
}

}  // namespace

std::vector<Retention> retentions_of(const eval::DetailsFile& file) {
  std::vector<Retention> out;
  const auto key = [](const eval::RetentionDetails& d) {
    return std::tuple(d.model, d.policy, d.memory, d.budget, d.mode, d.interval_tokens);
  };
  std::map<decltype(key({})), std::size_t> places;
  for (std::size_t i = 0; i < file.retentions.size(); ++i) {
    const eval::RetentionDetails& d = file.retentions[i];
    if (d.policy == kFullPolicy) continue;
    const auto [place, fresh] = places.emplace(key(d), out.size());
    if (fresh) out.push_back({d.model, d.policy, d.memory, d.budget, d.mode, d.interval_tokens, {}, {}, {}, {}});
    Retention& to = out[place->second];
    to.members.push_back(i);
    add(to, d, file.prompts[file.prompt_of[i]]);
  }
  return out;
}

}  // namespace namm::report
