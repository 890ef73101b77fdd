#include "report/retention.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace namm::report {
namespace {

void add(Retention& to, const eval::RetentionDetails& details, const eval::PromptDetails& prompt) {
  const auto tokens = static_cast<std::int64_t>(details.kept_by.size());
  const auto heads = static_cast<std::int64_t>(details.heads.size());
  for (const auto& head : details.heads) {
    KeptCount& count = to.heads[{head.layer, head.kv_head}];
    count.kept += head.kept;
    count.tokens += tokens;
  }
  auto task = std::find_if(to.tasks.begin(), to.tasks.end(), [&](const auto& t) { return t.name == details.task; });
  if (task == to.tasks.end()) task = to.tasks.insert(to.tasks.end(), {details.task, {}});
  for (std::int64_t i = 0; i < tokens; ++i) {
    const std::int32_t kept = details.kept_by[static_cast<std::size_t>(i)];
    KeptCount& position = to.positions[static_cast<std::size_t>(i) * Retention::kBins / static_cast<std::size_t>(tokens)];
    KeptCount& kind = task->kinds[eval::kKindLetters.find(prompt.kinds[static_cast<std::size_t>(i)])];
    for (KeptCount* const count : {&position, &kind}) {
      count->kept += kept;
      count->tokens += heads;
    }
  }
}

}  // namespace

std::vector<Retention> retentions_of(const eval::DetailsFile& file) {
  std::vector<Retention> out;
  std::map<std::tuple<std::string, std::string, std::string, std::string, int>, std::size_t> places;
  for (std::size_t i = 0; i < file.retentions.size(); ++i) {
    const eval::RetentionDetails& d = file.retentions[i];
    if (d.policy == "full") continue;
    const auto [place, fresh] = places.emplace(std::tuple(d.model, d.policy, d.budget, d.mode, d.interval_tokens), out.size());
    if (fresh) out.push_back({d.model, d.policy, d.budget, d.mode, d.interval_tokens, {}, {}, {}, {}});
    Retention& to = out[place->second];
    to.members.push_back(i);
    add(to, d, file.prompts[file.prompt_of[i]]);
  }
  return out;
}

}  // namespace namm::report
