#pragma once
#include <span>

namespace namm::eval {

/// Two-sided p-value of changes that are as likely up as down: how often their sum is as far from 0 if each has a sign at random
/// (Fisher's randomisation test). Exact for up to 16 changes that are not 0, else with 10,000 draws of a fixed seed. For changes
/// of one size it is the exact McNemar test. 1 without changes.
double sign_test_p_value(std::span<const double> changes);

}  // namespace namm::eval
