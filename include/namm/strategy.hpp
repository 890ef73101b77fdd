#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace namm {

struct StrategySettings {
  std::size_t dimension = 0;
  int population = 0;        ///< offspring per generation λ; 0 = the strategy's default 4 + floor(3 ln n)
  double step_size = 0.065;  ///< σ0
  std::uint64_t seed = 1;
  std::vector<double> mean;  ///< start; empty = zeros
};

/// A generation's candidates, a view of the strategy's own memory: valid until the next call of the strategy that is not const.
struct Candidates {
  const double* data = nullptr;  ///< one candidate after the other
  std::size_t dimension = 0;     ///< numbers per candidate
  std::size_t count = 0;

  std::span<const double> operator[](std::size_t i) const { return {data + i * dimension, dimension}; }
};

/// An evolution strategy as ask/tell. Minimises. Everything the next generation depends on is in state().
class Strategy {
 public:
  virtual ~Strategy() = default;
  /// Registry name, e.g. "cma".
  virtual std::string_view name() const = 0;
  virtual std::size_t dimension() const = 0;
  virtual int population() const = 0;
  virtual std::int64_t generation() const = 0;
  /// λ candidates of n numbers. Calling it twice without tell() returns the same candidates.
  virtual Candidates ask() = 0;
  /// Values of the candidates of the last ask(), lower = better. NaN counts as worst. Throws std::invalid_argument on a wrong
  /// count.
  virtual void tell(std::span<const double> values) = 0;
  virtual std::vector<double> mean() const = 0;
  virtual double step_size() const = 0;
  /// Bit-exact: a strategy restored from it continues identically.
  virtual nlohmann::json state() const = 0;
  /// Throws std::runtime_error, and changes nothing, if `state` is damaged or is that of another strategy or shape.
  virtual void restore(const nlohmann::json& state) = 0;
};

/// How a strategy is made by its name.
struct StrategyEntry {
  std::string name;     ///< 1 to 64 lower-case letters, digits and hyphens
  std::string summary;  ///< one line for --help, with the source
  /// Called with a population that is not 0. Throws std::invalid_argument on wrong settings: subject, rule, value seen, remedy.
  std::function<std::unique_ptr<Strategy>(const StrategySettings& settings)> make;
};

/// From now on runs can be evolved with the strategy, like with those that come with the library. Not thread-safe: register at
/// the start of the program. Throws std::invalid_argument if the name is taken or cannot be one; "auto", which stands for the
/// strategy that suits the number of parameters, is taken.
void register_strategy(StrategyEntry entry);

/// All strategies, those that come with the library first, in the order in which help lists them.
const std::deque<StrategyEntry>& strategy_registry();

/// Throws std::invalid_argument naming the nearest names if unknown, or on wrong settings.
std::unique_ptr<Strategy> make_strategy(std::string_view name, const StrategySettings& settings);

}  // namespace namm
