#pragma once
#include <filesystem>
#include <string>

namespace namm::cli {

/// For the policy `default`: says, in one line, if the model is none of those that it was evolved on (experiments/universal).
/// There a policy calibrated on the model loses far less.
void warn_if_untuned(const std::filesystem::path& model);

/// Of a policy file that says which model it was made for: says, in one line, if `model`, the name of a file, is another one.
/// Quantisations of one model count as the same.
void warn_if_of_another_model(const std::string& policy, const std::string& model);

}  // namespace namm::cli
