#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Dense>
#include <nlohmann/json_fwd.hpp>

namespace namm::evolve {

struct StrategySettings {
  std::size_t dimension = 0;
  int population = 0;        ///< offspring per generation λ; 0 = the strategy's default 4 + floor(3 ln n)
  double step_size = 0.065;  ///< σ0
  std::uint64_t seed = 1;
  std::vector<double> mean;  ///< start; empty = zeros
};

/// An evolution strategy as ask/tell. Minimises. Everything the next generation depends on is in state().
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0;
  virtual std::size_t dimension() const = 0;
  virtual int population() const = 0;
  virtual std::int64_t generation() const = 0;
  /// n × λ, one candidate a column. Calling it twice without tell() returns the same candidates.
  virtual const Eigen::MatrixXd& ask() = 0;
  /// Values of the columns of the last ask(), lower = better. NaN counts as worst. Throws std::invalid_argument on a wrong count.
  virtual void tell(std::span<const double> values) = 0;
  virtual Eigen::VectorXd mean() const = 0;
  virtual double step_size() const = 0;
  /// Bit-exact: a strategy restored from it continues identically.
  virtual nlohmann::json state() const = 0;
  virtual void restore(const nlohmann::json& state) = 0;
};

struct StrategyEntry {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Strategy> (*make)(const StrategySettings&);
};
std::span<const StrategyEntry> strategy_registry();
/// Throws std::invalid_argument naming the nearest names if unknown, or on wrong settings.
std::unique_ptr<Strategy> make_strategy(std::string_view name, const StrategySettings& settings);

}  // namespace namm::evolve
