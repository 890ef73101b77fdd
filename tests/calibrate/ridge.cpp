#include <Eigen/QR>
#include <cmath>
#include <random>

#include "calibrate/ridge.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;

namespace {

struct Problem {
  std::size_t rows, inputs, targets;
  std::vector<float> x, y;  // [rows][inputs], [targets][rows]
};

Problem make_problem(std::size_t rows, std::size_t inputs, std::size_t targets, float noise, unsigned seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Problem out{rows, inputs, targets, {}, {}};
  for (std::size_t i = 0; i < rows * inputs; ++i)  // inputs of very different size and offset
    out.x.push_back(5.0f * static_cast<float>(i % inputs) + normal(random) * static_cast<float>(1 + i % inputs));
  for (std::size_t t = 0; t < targets; ++t)
    for (std::size_t r = 0; r < rows; ++r) {
      float sum = 2.0f - static_cast<float>(t);
      for (std::size_t d = 0; d < inputs; ++d) sum += 0.1f * static_cast<float>(d + t + 1) * out.x[r * inputs + d];
      out.y.push_back(sum + noise * normal(random));
    }
  return out;
}

NormalEquations equations_of(const Problem& problem, std::size_t piece) {
  NormalEquations out(problem.inputs, problem.targets);
  for (std::size_t first = 0; first < problem.rows; first += piece) {
    const std::size_t count = std::min(piece, problem.rows - first);
    std::vector<float> targets;
    for (std::size_t t = 0; t < problem.targets; ++t)
      targets.insert(targets.end(), problem.y.begin() + static_cast<std::ptrdiff_t>(t * problem.rows + first),
                     problem.y.begin() + static_cast<std::ptrdiff_t>(t * problem.rows + first + count));
    out.add(problem.x.data() + first * problem.inputs, count, problem.inputs, targets);
  }
  return out;
}

/// Ridge by least squares on an augmented system, which shares nothing with the normal equations: rows for the penalty below the
/// standardised data, solved by QR.
Eigen::MatrixXd by_augmented_qr(const Problem& problem, double lambda) {
  const auto n = static_cast<Eigen::Index>(problem.rows), d = static_cast<Eigen::Index>(problem.inputs),
             t = static_cast<Eigen::Index>(problem.targets);
  Eigen::MatrixXd x(n, d), y(n, t);
  for (Eigen::Index r = 0; r < n; ++r) {
    for (Eigen::Index c = 0; c < d; ++c) x(r, c) = problem.x[static_cast<std::size_t>(r * d + c)];
    for (Eigen::Index k = 0; k < t; ++k) y(r, k) = problem.y[static_cast<std::size_t>(k * n + r)];
  }
  const Eigen::RowVectorXd mean = x.colwise().mean(), target_mean = y.colwise().mean();
  const Eigen::RowVectorXd deviation = ((x.rowwise() - mean).colwise().squaredNorm() / static_cast<double>(n)).cwiseSqrt();
  Eigen::MatrixXd a = Eigen::MatrixXd::Zero(n + d, d), b = Eigen::MatrixXd::Zero(n + d, t);
  a.topRows(n) = (x.rowwise() - mean) * deviation.cwiseInverse().asDiagonal();
  a.bottomRows(d) = std::sqrt(lambda * static_cast<double>(n)) * Eigen::MatrixXd::Identity(d, d);
  b.topRows(n) = y.rowwise() - target_mean;
  Eigen::MatrixXd out(d + 1, t);
  out.topRows(d) = deviation.cwiseInverse().asDiagonal() * a.colPivHouseholderQr().solve(b);
  out.row(d) = target_mean - mean * out.topRows(d);
  return out;
}

}  // namespace

TEST_CASE("Ridge regression equals the augmented least-squares problem") {
  const Problem problem = make_problem(200, 7, 3, 0.5f);
  for (const double lambda : {1e-6, 1e-2, 1.0}) {
    const Eigen::MatrixXd ours = equations_of(problem, 64).solve(lambda), theirs = by_augmented_qr(problem, lambda);
    CHECK((ours - theirs).cwiseAbs().maxCoeff() < 1e-7 * theirs.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("Ridge regression does not depend on how the rows came, and its errors are those of the residuals") {
  const Problem problem = make_problem(130, 5, 2, 0.3f);
  const NormalEquations whole = equations_of(problem, 130);
  NormalEquations parts = equations_of(problem, 1);
  CHECK((whole.solve(1e-3) - parts.solve(1e-3)).cwiseAbs().maxCoeff() < 1e-9);
  const Eigen::MatrixXd weights = whole.solve(1e-3);
  double error = 0, variation = 0;
  for (std::size_t t = 0; t < problem.targets; ++t) {
    double mean = 0;
    for (std::size_t r = 0; r < problem.rows; ++r) mean += problem.y[t * problem.rows + r] / 130.0;
    for (std::size_t r = 0; r < problem.rows; ++r) {
      double predicted = weights(5, static_cast<Eigen::Index>(t));
      for (std::size_t d = 0; d < 5; ++d)
        predicted += weights(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(t)) * problem.x[r * 5 + d];
      error += std::pow(predicted - problem.y[t * problem.rows + r], 2);
      variation += std::pow(problem.y[t * problem.rows + r] - mean, 2);
    }
  }
  CHECK(whole.squared_error(weights) == Approx(error).epsilon(1e-6));
  CHECK(whole.variation() == Approx(variation).epsilon(1e-6));
  NormalEquations restored(5, 2);
  std::vector<double> sums;
  whole.append_state(sums);
  CHECK(sums.size() == whole.state_size());
  restored.set_state(sums);
  CHECK(restored.solve(1e-3) == whole.solve(1e-3));
  CHECK(restored.rows() == 130);
}

TEST_CASE("Ridge regression survives what carries no information") {
  NormalEquations nothing(4, 1);
  CHECK(nothing.solve(1e-2).isZero());
  NormalEquations constant(2, 1);  // one input that never varies
  const std::vector<float> x = {1, 3, 2, 3, 3, 3, 4, 3}, y = {2, 4, 6, 8};
  constant.add(x.data(), 4, 2, y);
  const Eigen::MatrixXd weights = constant.solve(1e-9);
  CHECK(weights(0, 0) == Approx(2.0));
  CHECK(weights(1, 0) == 0.0);
  CHECK(weights(2, 0) == Approx(0.0).margin(1e-6));
  CHECK_THROWS_AS(constant.add(x.data(), 4, 1, y), std::invalid_argument);
  CHECK_THROWS_AS(constant.add(x.data(), 4, 2, std::vector<float>(3)), std::invalid_argument);
  CHECK_THROWS_AS(constant.add(NormalEquations(3, 1)), std::invalid_argument);
  CHECK_THROWS_AS(constant.set_state(std::vector<double>(3)), std::invalid_argument);
  std::vector<double> state;
  constant.append_state(state);
  state[1] = NAN;
  CHECK_THROWS_AS(constant.set_state(state), std::invalid_argument);
}
