#include "report/page_data.hpp"

#include <cmath>
#include <optional>

#include "base/json_fields.hpp"
#include "report/verdict.hpp"

namespace namm::report {
namespace {

using nlohmann::json;

template <typename Counts>
json counts_json(const Counts& counts) {
  json out = json::array();
  for (const KeptCount& count : counts) out.push_back({count.kept, count.tokens});
  return out;
}

double kept_share(const Retention& retention) {
  KeptCount all;
  for (const KeptCount& count : retention.positions) all += count;
  return all.share();
}

json setting_json(const eval::DetailsFile& file, const Retention& retention) {
  std::string label = retention.policy;
  for (const std::string& part : {retention.budget, retention.mode})
    if (!part.empty()) label += ", " + part;
  json heads = json::array(), tasks = json::array(), runs = json::array();
  for (const auto& [place, count] : retention.heads) heads.push_back({place.first, place.second, count.kept, count.tokens});
  for (const Retention::Task& task : retention.tasks) tasks.push_back({{"name", task.name}, {"kinds", counts_json(task.kinds)}});
  for (const std::size_t member : retention.members) {
    const eval::RetentionDetails& details = file.retentions[member];
    runs.push_back({{"prompt", file.prompt_of[member]},
                    {"kept_by", details.kept_by},
                    {"heads", details.heads.size()},
                    {"score", details.score},
                    {"delta", detail::number_or_null(details.answer_log_likelihood_delta)}});
  }
  std::string group = retention.policy;
  if (!retention.mode.empty()) group.append(", ").append(retention.mode);
  if (retention.interval_tokens > 0) group.append(", every ").append(std::to_string(retention.interval_tokens));
  return {{"label", label},
          {"group", group},
          {"budget", retention.budget},
          {"share", detail::number_or_null(kept_share(retention))},
          {"heads", heads},
          {"positions", counts_json(retention.positions)},
          {"tasks", tasks},
          {"runs", runs}};
}

}  // namespace

json page_data(const ReportContent& content, std::span<const Retention> retentions) {
  json prompts = json::array(), settings = json::array();
  for (const eval::PromptDetails& prompt : content.details.prompts)
    prompts.push_back({{"label", prompt.prompt + ", " + std::to_string(prompt.pieces.size()) + " tokens"},
                       {"pieces", prompt.pieces},
                       {"kinds", prompt.kinds},
                       {"evidence", prompt.evidence}});
  // shown first: what the verdict is of, or else a policy from a file, if there is one, that keeps about a quarter
  const std::optional<Verdict> verdict = verdict_of(content);
  std::size_t first = 0;
  double nearest = 1e9;
  for (const Retention& retention : retentions) {
    const bool meant = verdict && retention.policy == verdict->policy;
    const double away = std::abs(kept_share(retention) - 0.25) +
                        (meant                                          ? -2
                         : content.from_file.contains(retention.policy) ? 0
                                                                        : 1) -
                        (meant && retention.budget == verdict->budget ? 2 : 0);
    if (away < nearest) {
      first = settings.size();
      nearest = away;
    }
    settings.push_back(setting_json(content.details, retention));
  }
  return {{"kinds", eval::kKindNames},
          {"letters", eval::kKindLetters},
          {"prompts", prompts},
          {"settings", settings},
          {"first", first}};
}

}  // namespace namm::report
