#pragma once
#include <Eigen/Core>
#include <cstddef>
#include <span>
#include <vector>

namespace namm::calibrate {

/// Normal equations of several least-squares problems with common inputs, accumulated in double as rows come by:
/// X'X, X'Y and the sums of squares of Y, a column of ones behind the inputs. Memory (inputs + 1)^2 + targets * (inputs + 2)
/// doubles, whatever the number of rows.
class NormalEquations {
 public:
  NormalEquations(std::size_t inputs, std::size_t targets);
  /// rows: [n][inputs] with `stride` floats between rows; targets: [targets][n]. Throws std::invalid_argument on wrong sizes.
  void add(const float* rows, std::size_t count, std::size_t stride, std::span<const float> targets);
  void add(const NormalEquations& other);

  std::size_t inputs() const { return static_cast<std::size_t>(gram_.rows()) - 1; }
  std::size_t targets() const { return static_cast<std::size_t>(products_.cols()); }
  double rows() const { return gram_(gram_.rows() - 1, gram_.cols() - 1); }

  /// Ridge regression of standardised inputs with penalty lambda * rows (the constant free): raw weights [inputs + 1] in columns,
  /// one per target. Inputs without variance get weight 0.
  Eigen::MatrixXd solve(double lambda) const;
  /// Sum over targets of the squared error of `weights` on these rows.
  double squared_error(const Eigen::MatrixXd& weights) const;
  /// Sum over targets of the squared distance from their means.
  double variation() const;

  /// Everything, flat, for checkpoints: the lower triangle of X'X, X'Y, the squares.
  void append_state(std::vector<double>& to) const;
  std::size_t state_size() const;
  /// Throws std::invalid_argument on a wrong count or a value that is not finite.
  void set_state(std::span<const double> state);

 private:
  Eigen::MatrixXd gram_;      // [inputs + 1][inputs + 1], lower triangle
  Eigen::MatrixXd products_;  // [inputs + 1][targets]
  Eigen::VectorXd squares_;   // [targets]
};

}  // namespace namm::calibrate
