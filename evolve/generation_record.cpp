#include "evolve/generation_record.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace namm::evolve {

std::size_t best_of(std::span<const double> values) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (std::isnan(values[best]) ? !std::isnan(values[i]) : values[i] > values[best]) best = i;
  }
  return best;
}

std::size_t finite_count(std::span<const double> values) {
  return static_cast<std::size_t>(std::count_if(values.begin(), values.end(), [](double v) { return std::isfinite(v); }));
}

GenerationRecord summarise(std::span<const double> values) {
  double sum = 0, squares = 0, best = NAN;
  double count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    ++count;
    sum += value;
    best = std::fmax(best, value);
  }
  for (const double value : values) {
    if (std::isfinite(value)) squares += (value - sum / count) * (value - sum / count);
  }
  GenerationRecord record;
  record.best = best;
  record.mean = count > 0 ? sum / count : NAN;
  record.spread = count > 0 ? std::sqrt(squares / count) : NAN;
  return record;
}

nlohmann::json to_log_line(const GenerationRecord& record) {
  nlohmann::json line;
  line["generation"] = record.generation;
  if (record.generation > 0) {
    line["fitness"] = {{"best", detail::number_or_null(record.best)},
                       {"mean", detail::number_or_null(record.mean)},
                       {"spread", detail::number_or_null(record.spread)},
                       {"noise", detail::number_or_null(record.noise)},
                       {"signal_to_noise", detail::number_or_null(record.signal_to_noise)}};
  }
  if (record.restart > 0) line["restart"] = record.restart;
  if (record.restarts) line["restarts"] = true;
  line["step_size"] = record.step_size;
  nlohmann::json validation = nlohmann::json::object();
  if (record.validation_mean) validation["mean"] = detail::number_or_null(*record.validation_mean);
  if (record.validation_candidate) validation["candidate"] = detail::number_or_null(*record.validation_candidate);
  if (!validation.empty()) line["validation"] = validation;
  line["best_validation"] = detail::number_or_null(record.best_validation);
  return line;
}

nlohmann::json to_timing_line(const GenerationRecord& record, const UnitPool& units) {
  std::vector<long> milliseconds;
  for (const float seconds : record.costs.seconds) milliseconds.push_back(std::lround(seconds * 1e3f));
  std::sort(milliseconds.begin(), milliseconds.end(), std::greater<>());
  nlohmann::json line = {{"generation", record.generation},
                         {"seconds", record.seconds},
                         {"workers", units.workers()},
                         {"unit_milliseconds", milliseconds}};
  if (units.ranks() > 1) {
    line["ranks"] = units.ranks();
    line["bytes_sent"] = record.costs.bytes_sent;
    line["bytes_received"] = record.costs.bytes_received;
  }
  return line;
}

}  // namespace namm::evolve
