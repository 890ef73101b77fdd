#include "report/verdict.hpp"

#include <algorithm>
#include <cmath>

#include "base/format.hpp"
#include "report/digits.hpp"
#include "report/marks.hpp"
#include "report/means.hpp"

namespace namm::report {
namespace {

using Row = eval::ResultRecord;

constexpr double kEnough = 0.95;   // of the full cache's quality
constexpr double kNoLoss = -0.05;  // nat per token, where there is no quality to compare with

bool keeps_enough(const Row& row) {
  return std::isfinite(row.quality_relative) ? row.quality_relative >= kEnough : row.answer_log_likelihood_delta >= kNoLoss;
}

double kept_quality(const Row& row) {
  return std::isfinite(row.quality_relative) ? row.quality_relative : row.answer_log_likelihood_delta;
}

/// The row that the verdict is of, or null.
const Row* chosen(const ResultRows& rows, const ReportContent& content) {
  const bool files = std::any_of(rows.begin(), rows.end(), [&](const Row& r) { return content.from_file.contains(r.policy); });
  const Row* best = nullptr;
  for (const Row& row : rows) {
    if (is_full(row) || (files && !content.from_file.contains(row.policy))) continue;
    if (!std::isfinite(row.physical_saving) || !std::isfinite(kept_quality(row))) continue;
    const bool enough = keeps_enough(row);
    if (best == nullptr || (enough && !keeps_enough(*best)) ||
        (enough == keeps_enough(*best) &&
         (enough ? row.physical_saving > best->physical_saving : kept_quality(row) > kept_quality(*best))))
      best = &row;
  }
  return best;
}

/// Of the others under the same budget, the one that keeps the most.
const Row* best_beside(const ResultRows& rows, const Row& row) {
  const Row* best = nullptr;
  for (const Row& other : rows)
    if (!is_full(other) && other.policy != row.policy && other.budget == row.budget && std::isfinite(other.quality_relative) &&
        (best == nullptr || other.quality_relative > best->quality_relative))
      best = &other;
  return best;
}

std::string share_kept(const Row& row) {
  return format_percent(row.quality_relative, row.quality_relative_ci95) + " of the full cache's quality";
}

/// As the tables mark it.
std::string tested(const ResultRows& rows, std::size_t row_index) {
  const Row& row = rows[row_index];
  if (!std::isfinite(row.quality_change_p) || row.independent < kLeastForMark) return {};
  const bool differs = differs_from_full(rows, &Row::quality_change_p)[row_index];
  return std::string(differs ? " (told apart from it by " : " (not told apart from it by ") + std::to_string(row.independent) +
         " independent prompts)";
}

/// `held`: bytes of the cache with statistics; `mean`: over several tables, whose savings weigh the same whatever their bytes.
Verdict::Number memory_of(const Row& row, double held, bool mean) {
  Verdict::Number out{"memory", format_percent(std::abs(row.physical_saving)), "of the cache's bytes freed, statistics counted"};
  out.value.insert(0, row.physical_saving >= 0 ? "−" : "+");
  if (std::isfinite(held) && row.kv_bytes_full > 0)
    out.beside = (mean ? "on average " : "") + format_bytes(held) + " in place of " + format_bytes(row.kv_bytes_full) +
                 ", statistics counted";
  return out;
}

std::string likelihood_kept(const Row& row) {
  return format_estimate(row.answer_log_likelihood_delta, row.answer_log_likelihood_delta_ci95, true) + " nat per token";
}

Verdict::Number quality_of(const Row& row) {
  const double change = row.answer_log_likelihood_delta;
  std::string beside;
  if (std::isfinite(change)) beside = "log-likelihood of the answer " + likelihood_kept(row);
  if (!std::isfinite(row.quality_relative)) return {"quality", format_estimate(row.quality, row.quality_ci95), beside};
  std::string range;
  if (std::isfinite(row.quality_relative_ci95[0]) && std::isfinite(row.quality_relative_ci95[1]))
    range.append(format_percent(std::max(0.0, row.quality_relative_ci95[0])))
        .append(" to ")
        .append(format_percent(row.quality_relative_ci95[1]))
        .append("; ");
  return {"quality", format_percent(row.quality_relative, row.quality_relative_ci95), range + beside};
}

/// By what the row was chosen among `compared`.
std::string choice_of(const Row& row, std::size_t compared) {
  const bool enough = keeps_enough(row), by_quality = std::isfinite(row.quality_relative);
  const std::string of = std::to_string(compared) + (compared == 1 ? " row" : " rows");
  if (by_quality)
    return enough ? "Of " + of + ", the one that frees the most and keeps at least 95 %"
                  : "None keeps 95 % of the quality; of " + of + ", the one that keeps the most";
  const std::string why = " (the full cache's quality is 0 or unknown)";
  return enough ? "Of " + of + ", the one that frees the most and loses at most 0.05 nat per token of the answer" + why
                : "None loses at most 0.05 nat per token of the answer; of " + of + ", the one that loses the least" + why;
}

/// What the verdict is not of.
std::string others_text(std::size_t others) {
  if (others == 0) return {};
  return " Results of " + std::to_string(others) + " other " +
         (others == 1 ? "model, seed or setting stand" : "models, seeds or settings stand") + " in the tables.";
}

}  // namespace

std::optional<Verdict> verdict_of(const ReportContent& content) {
  const std::vector<ModelResults> models = models_of(content.records);
  for (const ModelResults& model : models) {
    const ResultMeans means = means_of(model.rows);
    const ResultRows& rows = means.tables > 1 ? means.rows : model.rows;
    const Row* const row = chosen(rows, content);
    if (row == nullptr) continue;
    const auto index = static_cast<std::size_t>(row - rows.data());
    const auto full = std::find_if(rows.begin(), rows.end(), is_full);
    Verdict out;
    out.policy = row->policy;
    out.budget = row->budget;
    out.sentence = (models.size() > 1 ? "On " + model.origin + ": " : "") + row->policy + " at " + row->budget + " frees " +
                   format_percent(row->physical_saving) + " of the cache's memory";
    if (std::isfinite(row->quality_relative))
      out.sentence += " and keeps " + share_kept(*row) + tested(rows, index);
    else
      out.sentence += "; the log-likelihood of the answer changes by " + likelihood_kept(*row);
    out.sentence += ".";
    if (const Row* const other = best_beside(rows, *row))
      out.sentence += " The best of the others at that budget, " + other->policy + ", keeps " +
                      format_percent(other->quality_relative, other->quality_relative_ci95) + ".";
    out.numbers.push_back(memory_of(*row, means.tables > 1 ? means.held_bytes[index] : held_bytes(*row), means.tables > 1));
    if (full != rows.end() && full->decode_tokens_per_second > 0 && row->decode_tokens_per_second > 0) {
      const double ratio = row->decode_tokens_per_second / full->decode_tokens_per_second;
      out.numbers.push_back({"speed", format_rate(ratio) + " ×",
                             "decoding " + format_rate(row->decode_tokens_per_second) + " in place of " +
                                 format_rate(full->decode_tokens_per_second) + " tokens/s"});
    }
    out.numbers.push_back(quality_of(*row));
    const std::size_t compared =
        static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const Row& r) { return !is_full(r); }));
    out.note = choice_of(*row, compared) + "; " +
               (means.tables > 1 ? "mean over " + std::to_string(means.tables) + " tables, " : std::string()) +
               count_text(means.samples, means.independent) + ". Speed is that of the machine of the evaluation." +
               others_text(models.size() - 1);
    return out;
  }
  return std::nullopt;
}

}  // namespace namm::report
