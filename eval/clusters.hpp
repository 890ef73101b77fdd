#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "eval/estimates.hpp"

namespace namm::eval {

/// Means over tables, and how they vary between units.
class Clusters {
 public:
  /// `shares`: values lie in [0, 1], so that a table whose prompts all came out alike still varies (spread()).
  Clusters(std::span<const TableValues> tables, bool shares);

  double value() const { return value_; }
  double base() const { return base_; }
  /// How many equally large units tell as much: as many as there are if each has as many prompts, about one where one text has
  /// most of the questions. Rounded.
  std::size_t units() const;

  struct Spread {
    double variance = 0;
    double degrees_of_freedom = 0;  ///< infinite where all of the variance is made up for tables without any
  };
  /// Of a * mean of the values + b * mean of the base. Between units, unbiased if units vary alike (Bell and McCaffrey 2002, for
  /// a mean); degrees of freedom by Satterthwaite. NaN with fewer than two units in a population.
  ///
  /// With `shares`, a table of n prompts whose a * value + b * base are all the same adds (z / (n + z^2))^2: what Wilson's
  /// interval of n right of n reaches.
  Spread spread(double a, double b) const;

  /// What each unit adds to value() - base(), for a sign test.
  std::vector<double> changes() const;

 private:
  struct Unit {
    double value = 0, base = 0;  ///< deviations from the means of its tables, in shares of the whole
    double change = 0;           ///< value - base, not centred, in the same shares
    double weight = 0;           ///< prompts, each as a share of its table
  };
  void add(const TableValues& table);

  std::map<std::string, std::map<std::string, Unit>> populations_;
  std::span<const TableValues> tables_;
  bool shares_;
  double value_ = 0, base_ = 0;
};

}  // namespace namm::eval
