#pragma once
// What a cache policy is allowed to be and its user probably did not mean.
#include <cstddef>
#include <span>
#include <string>

#include "core/policy_file.hpp"
#include "host/host.hpp"

namespace namm::cli {

/// A budget of a few tokens was probably meant as a percentage; says so.
void warn_of_few_tokens(std::span<const Budget> budgets);
/// The protected tokens, and the means, are kept whatever the budget; says so if that is more than the budget of so many tokens.
/// False if it is not.
bool warn_if_protected_exceed(const CachePolicy& memory, const HostDescription& host, std::size_t tokens);
/// A budget in MiB, of which one does not see that it holds all of `tokens`: nothing is dropped, and that is said.
void warn_if_all_fits(const CachePolicy& memory, const HostDescription& host, std::size_t tokens);
/// A policy that was tuned without recency counts on means of evicted tokens; says so where they are left out.
void warn_of_lost_means(const std::string& name, const PolicyFile& file, const CachePolicy& memory);

}  // namespace namm::cli
