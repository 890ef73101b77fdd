#include "calibrate/ridge.hpp"

#include <Eigen/Cholesky>
#include <cmath>
#include <stdexcept>
#include <string>

/// C := alpha * A'A + beta * C of BLAS, one triangle of it.
extern "C" void dsyrk_(const char* triangle, const char* transposed, const int* n, const int* k, const double* alpha,
                       const double* a, const int* lda, const double* beta, double* c, const int* ldc);

namespace namm::calibrate {

NormalEquations::NormalEquations(std::size_t inputs, std::size_t targets)
    : gram_(Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(inputs) + 1, static_cast<Eigen::Index>(inputs) + 1)),
      products_(Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(inputs) + 1, static_cast<Eigen::Index>(targets))),
      squares_(Eigen::VectorXd::Zero(static_cast<Eigen::Index>(targets))) {}

void NormalEquations::add(const float* rows, std::size_t count, std::size_t stride, std::span<const float> targets) {
  if (stride < inputs() || targets.size() != count * this->targets())
    throw std::invalid_argument("normal equations: " + std::to_string(count) + " rows of " + std::to_string(inputs()) + " need " +
                                std::to_string(count * this->targets()) + " targets, got " + std::to_string(targets.size()));
  using Row = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto n = static_cast<Eigen::Index>(count), d = static_cast<Eigen::Index>(inputs());
  Eigen::MatrixXd x(n, d + 1);
  x.leftCols(d) =
      Eigen::Map<const Row, 0, Eigen::OuterStride<>>(rows, n, d, Eigen::OuterStride<>(static_cast<Eigen::Index>(stride)))
          .cast<double>();
  x.col(d).setOnes();
  const Eigen::MatrixXd y =
      Eigen::Map<const Eigen::MatrixXf>(targets.data(), n, static_cast<Eigen::Index>(this->targets())).cast<double>();
  // almost all of a fit's arithmetic: a BLAS made for the processor takes a tenth of the time of what we would compile
  const int size = static_cast<int>(d) + 1, rows_here = static_cast<int>(n);
  const double one = 1;
  if (n > 0) dsyrk_("L", "T", &size, &rows_here, &one, x.data(), &rows_here, &one, gram_.data(), &size);
  products_.noalias() += x.transpose() * y;
  squares_ += y.colwise().squaredNorm().transpose();
}

void NormalEquations::add(const NormalEquations& other) {
  if (other.inputs() != inputs() || other.targets() != targets())
    throw std::invalid_argument("normal equations: only equal shapes can be added");
  gram_ += other.gram_;
  products_ += other.products_;
  squares_ += other.squares_;
}

Eigen::MatrixXd NormalEquations::solve(double lambda) const {
  const Eigen::Index d = gram_.rows() - 1;
  const double n = rows();
  if (n < 1) return Eigen::MatrixXd::Zero(d + 1, products_.cols());
  const Eigen::VectorXd mean = gram_.row(d).head(d).transpose() / n;
  const Eigen::RowVectorXd target_mean = products_.row(d) / n;
  Eigen::MatrixXd covariance = gram_.topLeftCorner(d, d).selfadjointView<Eigen::Lower>();
  covariance = covariance / n - mean * mean.transpose();
  const Eigen::VectorXd deviation = covariance.diagonal().cwiseMax(0).cwiseSqrt();
  // an input that hardly varies next to its size is rounding, not information
  const Eigen::VectorXd inverse =
      (deviation.array() > 1e-7 * (1e-30 + mean.array().abs())).select(deviation.array().inverse(), 0.0);
  const Eigen::MatrixXd centred = products_.topRows(d) / n - mean * target_mean;
  Eigen::MatrixXd scaled = inverse.asDiagonal() * covariance * inverse.asDiagonal();
  scaled.diagonal().array() += lambda;  // positive definite: blocked Cholesky without pivots is safe
  Eigen::MatrixXd out(d + 1, products_.cols());
  out.topRows(d) = inverse.asDiagonal() * scaled.llt().solve(inverse.asDiagonal() * centred);
  out.row(d) = target_mean - mean.transpose() * out.topRows(d);
  return out;
}

double NormalEquations::squared_error(const Eigen::MatrixXd& weights) const {
  const Eigen::MatrixXd applied = gram_.selfadjointView<Eigen::Lower>() * weights;
  return squares_.sum() - 2 * weights.cwiseProduct(products_).sum() + weights.cwiseProduct(applied).sum();
}

double NormalEquations::variation() const {
  const double n = rows();
  if (n < 1) return 0;
  return squares_.sum() - products_.row(products_.rows() - 1).squaredNorm() / n;
}

void NormalEquations::append_state(std::vector<double>& to) const {
  for (Eigen::Index c = 0; c < gram_.cols(); ++c) to.insert(to.end(), &gram_(c, c), gram_.col(c).data() + gram_.rows());
  to.insert(to.end(), products_.data(), products_.data() + products_.size());
  to.insert(to.end(), squares_.data(), squares_.data() + squares_.size());
}

std::size_t NormalEquations::state_size() const {
  return static_cast<std::size_t>(gram_.rows() * (gram_.rows() + 1) / 2 + products_.size() + squares_.size());
}

void NormalEquations::set_state(std::span<const double> state) {
  if (state.size() != state_size())
    throw std::invalid_argument("normal equations: must get " + std::to_string(state_size()) + " numbers, got " +
                                std::to_string(state.size()));
  for (const double x : state)
    if (!std::isfinite(x)) throw std::invalid_argument("normal equations: numbers must be finite");
  std::size_t i = 0;
  for (Eigen::Index c = 0; c < gram_.cols(); ++c)
    for (Eigen::Index r = c; r < gram_.rows(); ++r) gram_(r, c) = state[i++];
  for (Eigen::Index k = 0; k < products_.size(); ++k) products_.data()[k] = state[i++];
  for (Eigen::Index k = 0; k < squares_.size(); ++k) squares_(k) = state[i++];
}

}  // namespace namm::calibrate
