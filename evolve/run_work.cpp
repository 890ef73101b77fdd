#include "evolve/run_work.hpp"

#include <algorithm>

namespace namm::evolve {

RunWork::RunWork(const RunSettings& s, int population, std::int64_t done)
    : begin_(done), generations_(s.generations), every_(s.validate_every) {
  const double tasks = static_cast<double>(s.tasks.size()), budgets = static_cast<double>(s.budgets.size());
  const double prompts = tasks * static_cast<double>(s.prompts_per_task);
  const double validating = tasks * static_cast<double>(s.validation_prompts);
  const bool begins = done < 0;
  normalisation_ = begins && s.gather_normalisation ? prompts : 0;
  start_ = begins ? validating * (budgets + 1) : 0;
  training_ = prompts * (population + 1);
  validation_ = 2 * validating * budgets;
  end_ = generations_ % every_ != 0 ? validating * budgets : 0;
  const std::int64_t first = std::max<std::int64_t>(done, 0);
  all_ = normalisation_ + start_ + training_ * static_cast<double>(std::max<std::int64_t>(generations_ - first, 0)) +
         validations(first, generations_) + end_;
}

double RunWork::validations(std::int64_t first, std::int64_t last) const {
  return validation_ * static_cast<double>(std::max<std::int64_t>(last / every_ - first / every_, 0));
}

double RunWork::share(std::string_view stage, std::int64_t done, double of_all) const {
  const std::int64_t first = std::max<std::int64_t>(begin_, 0), now = std::max<std::int64_t>(done, 0);
  double work = 0;
  if (done < 0) {
    work = stage == "normalisation" ? normalisation_ * of_all : normalisation_ + start_ * of_all;
  } else {
    work = normalisation_ + start_ + training_ * static_cast<double>(now - first) + validations(first, now);
    if (stage == "training")
      work += training_ * of_all;
    else if (now >= generations_)
      work += end_ * of_all;
    else
      work += training_ + validation_ * of_all;
  }
  return all_ > 0 ? std::clamp(work / all_, 0.0, 1.0) : 0;
}

std::int64_t next_validation(const RunSettings& settings, std::int64_t generation) {
  const std::int64_t every = settings.validate_every;
  return std::min<std::int64_t>((generation / every + 1) * every, settings.generations);
}

}  // namespace namm::evolve
