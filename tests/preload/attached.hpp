#pragma once
#include <string>
#include <vector>

#include "tests/support/program.hpp"

namespace namm::test {

using Words = std::vector<std::string>;

/// plain_program under `namm attach OPTIONS --`.
Outcome attached(const std::string& model, const Words& actions, const Words& options = {"--policy", "full"});
/// Any program, without words of its own for the shell.
Outcome run_command(const Words& words);
/// plain_program alone.
Outcome alone(const std::string& model, const Words& actions);
/// The numbers that it printed, line by line. Requires that it ended well.
std::vector<std::vector<double>> numbers(const Outcome& outcome);
/// Largest difference of the rows of logits over the largest logit.
double apart(const Outcome& a, const Outcome& b);

inline const Words kEvicting = {"--policy", "h2o-mean", "--budget", "25%", "--interval", "64"};
/// A small model with random weights, as a file.
std::string model_file();

}  // namespace namm::test
