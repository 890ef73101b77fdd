#pragma once
#include <span>

#include <nlohmann/json.hpp>

#include "report/charts.hpp"

namespace namm::report {

/// What the script of the page shows of watched prompts (report_page.js):
///   kinds, letters   names and letters of the kinds of token
///   prompts          label, pieces, kinds, evidence
///   settings         a policy under a budget: label, heads [[layer, KV head, kept, tokens]], positions and tasks[].kinds
///                    [[kept, tokens]], runs (prompt's index, kept_by, heads, score, delta)
///   first            the setting shown first
nlohmann::json page_data(const ReportContent& content, std::span<const Retention> retentions);

}  // namespace namm::report
