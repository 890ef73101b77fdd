#include "cli/tune/choice.hpp"

#include <stdexcept>

#include "base/format.hpp"
#include "cli/tune/split.hpp"
#include "eval/record_file.hpp"

namespace namm::cli {
namespace {

constexpr double kWorstKind = 0.1;  // nat per token

}  // namespace

std::map<std::string, double> changes_of(const std::vector<eval::ResultRecord>& records, const std::string& policy) {
  std::map<std::string, double> out;
  for (const eval::ResultRecord& r : records)
    if (r.policy == policy) out[r.task + " at " + std::to_string(r.length_tokens)] = r.answer_log_likelihood_delta;
  return out;
}

double mean_of(const std::map<std::string, double>& changes) {
  double sum = 0;
  for (const auto& [table, change] : changes) sum += change;
  return sum / static_cast<double>(changes.size());
}

TuneChoice choose(const Tuning& tuning) {
  TuneChoice out;
  if (tuning.sizes.seeds == 0) {
    out.why = "nothing was evolved: there was no time for it";
    return out;
  }
  const Split split = recorded_split(tuning);
  if (split.holds_all) {
    out.why = "so held, everything fits: there was nothing to evolve";
    return out;
  }
  const auto records = eval::load_results(tuning.validation());
  const auto calibrated = changes_of(records, tuning.fitted(split.recency).string());
  const auto averaged = changes_of(records, tuning.averaged().string());
  if (calibrated.empty() || calibrated.size() != averaged.size())
    throw std::runtime_error(tuning.validation().string() +
                             ": must have results of both policies, has not; delete it and resume");
  out.calibrated_nat = mean_of(calibrated);
  out.averaged_nat = mean_of(averaged);
  double worst = 0;
  std::string where;
  for (const auto& [table, change] : averaged)
    if (const double lost = calibrated.at(table) - change; lost > worst) worst = lost, where = table;
  const auto nat = [](double value) { return format_number("%+.3f", value) + " nat per answer token"; };
  const std::string both =
      "evolved on top " + nat(out.averaged_nat) + ", calibrated " + nat(out.calibrated_nat) + " on validation";
  out.averaged = out.averaged_nat > out.calibrated_nat && worst <= kWorstKind;
  out.why = both;
  if (!out.averaged && out.averaged_nat > out.calibrated_nat)
    out.why += "; but on " + where + " it loses " + format_number("%.2f", worst) + " more";
  return out;
}

}  // namespace namm::cli
