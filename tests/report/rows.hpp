#pragma once
#include <cmath>
#include <string>

#include "eval/record.hpp"

namespace rows {

/// A record of a quarter of the cache, or of the full one, with values made of `quality`.
inline namm::eval::ResultRecord row(const std::string& policy, const std::string& task, double quality, double half_width = 0.1) {
  namm::eval::ResultRecord out;
  out.model = "m.gguf";
  out.architecture = "llama";
  out.policy = policy;
  out.task = task;
  out.budget = policy == "full" ? "none" : "25%";
  out.mode = policy == "full" ? "" : "uniform";
  out.length_tokens = 512;
  out.samples = 20;
  out.seed = 7;
  out.quality = out.quality_relative = quality;
  out.answer_log_likelihood_delta = quality - 1;
  out.quality_change_p = out.answer_log_likelihood_delta_p = NAN;
  for (auto* const pair : {&out.quality_ci95, &out.quality_relative_ci95, &out.answer_log_likelihood_delta_ci95}) {
    const double middle = pair == &out.answer_log_likelihood_delta_ci95 ? quality - 1 : quality;
    (*pair)[0] = middle - half_width;
    (*pair)[1] = middle + half_width;
  }
  return out;
}

}  // namespace rows
