#pragma once
#include <memory>
#include <span>

#include "namm/policy.hpp"

namespace namm {

/// Throws std::invalid_argument, naming the field, unless the parameters of both mean the same: one kind of policy with equal
/// features, normalisation and calibrated policy; calibrated policies with the same layers, heads and recency, each with its own
/// probe and, all or none, evenness.
void require_averageable(const Policy& first, const Policy& other);

/// A copy of the first policy with the mean of all policies' parameters, summed in double precision. Evolution of many
/// parameters on few prompts leaves chance in each of them; the mean of several runs has less of it (weights averaged: model
/// soups, arXiv 2203.05482; measured: experiments/calibrate). Throws as require_averageable(), and if there is no policy.
std::unique_ptr<Policy> average(std::span<const std::shared_ptr<const Policy>> policies);

}  // namespace namm
