#pragma once
#include <filesystem>

namespace namm::cli {

/// For the policy `default`: says, in one line, if the model is none of those that it was evolved on (experiments/universal).
/// There a policy calibrated on the model loses far less.
void warn_if_untuned(const std::filesystem::path& model);

}  // namespace namm::cli
