#include "evolve/strategies/cma.hpp"

#include <cmath>
#include <stdexcept>

#include "base/base64.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
namespace {

// Eigenvalues below this share of the largest are lifted to it (condition 1e14, the usual limit of double precision).
constexpr double kSmallestShare = 1e-14;

/// Generations between decompositions that keep their cost at O(n²) per candidate (tutorial, section B.2).
std::int64_t decomposition_interval(std::size_t dimension, const CmaCoefficients& c) {
  const double rate = 10 * static_cast<double>(dimension) * (c.c_1 + c.c_mu);
  return static_cast<std::int64_t>(std::ceil(1 / rate));
}

std::string pack(const Eigen::MatrixXd& lower) {
  std::vector<double> packed;
  packed.reserve(static_cast<std::size_t>(lower.rows() * (lower.rows() + 1) / 2));
  for (Eigen::Index row = 0; row < lower.rows(); ++row) {
    for (Eigen::Index column = 0; column <= row; ++column) packed.push_back(lower(row, column));
  }
  return encode_doubles(packed);
}

Eigen::MatrixXd unpack(const std::string& text, std::size_t dimension, const char* what) {
  const std::vector<double> packed = decode_doubles(text, dimension * (dimension + 1) / 2, what);
  const auto n = static_cast<Eigen::Index>(dimension);
  Eigen::MatrixXd lower = Eigen::MatrixXd::Zero(n, n);
  auto next = packed.begin();
  for (Eigen::Index row = 0; row < n; ++row) {
    for (Eigen::Index column = 0; column <= row; ++column) lower(row, column) = *next++;
  }
  return lower;
}

}  // namespace

Cma::Cma(const StrategySettings& settings, CmaConvention convention)
    : CumulativeStrategy(settings, full_coefficients(settings.dimension, settings.population), convention),
      interval_(decomposition_interval(settings.dimension, coefficients_)) {
  const auto n = static_cast<Eigen::Index>(settings.dimension);
  distribution_.covariance = Eigen::MatrixXd::Identity(n, n);
}

void Cma::prepare() {
  if (!due(distribution_.generation)) return;
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(distribution_.covariance);  // reads the lower triangle
  if (solver.info() != Eigen::Success) {
    throw std::runtime_error("cma: the covariance could not be decomposed in generation " +
                             std::to_string(distribution_.generation) + "; the run has diverged, lower the step size");
  }
  Eigen::VectorXd values = solver.eigenvalues();
  const double floor = kSmallestShare * values.maxCoeff();
  const Eigen::MatrixXd& vectors = solver.eigenvectors();
  if (values.minCoeff() < floor) {
    values = values.cwiseMax(floor);
    distribution_.covariance.triangularView<Eigen::Lower>() = vectors * values.asDiagonal() * vectors.transpose();
  }
  const Eigen::MatrixXd scaled = vectors * values.array().sqrt().matrix().asDiagonal();
  root_.resize(vectors.rows(), vectors.rows());
  root_.setZero();
  root_.triangularView<Eigen::Lower>() += scaled * vectors.transpose();
  root_generation_ = distribution_.generation;
}

Eigen::MatrixXd Cma::colour(const Eigen::MatrixXd& draws) const {
  if (root_.size() == 0) return draws;
  return root_.selfadjointView<Eigen::Lower>() * draws;
}

Eigen::MatrixXd Cma::whiten(const Eigen::MatrixXd& steps) const {
  if (root_.size() == 0) return steps;
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(root_);
  return solver.eigenvectors() * (solver.eigenvalues().cwiseInverse().asDiagonal() * (solver.eigenvectors().transpose() * steps));
}

void Cma::learn(const Eigen::MatrixXd& steps, const Eigen::MatrixXd& draws, const Eigen::VectorXd& weights, double decay) {
  const double n = static_cast<double>(steps.rows());
  Eigen::VectorXd scaled = coefficients_.c_mu * weights;
  for (Eigen::Index k = 0; k < scaled.size(); ++k) {
    if (scaled(k) < 0) scaled(k) *= n / (draws.col(k).squaredNorm() + convention_.norm_epsilon);
  }
  Eigen::MatrixXd& covariance = distribution_.covariance;
  covariance *= decay;
  covariance.selfadjointView<Eigen::Lower>().rankUpdate(distribution_.p_c, coefficients_.c_1);
  const Eigen::MatrixXd weighted = steps * scaled.asDiagonal();
  covariance.triangularView<Eigen::Lower>() += weighted * steps.transpose();
}

void Cma::save_covariance(nlohmann::json& state) const {
  state["covariance"] = pack(distribution_.covariance);
  state["root_generation"] = root_generation_;
  // A root that the next ask() replaces is not worth its bytes; null also stands for the identity of the start.
  const bool kept = !due(distribution_.generation) && root_.size() != 0;
  state["root"] = kept ? nlohmann::json(pack(root_)) : nlohmann::json(nullptr);
}

void Cma::load_covariance(const nlohmann::json& state, CmaDistribution& distribution) {
  distribution.covariance = unpack(field::text(state, "covariance"), dimension(), "strategy state: field 'covariance'");
  const std::int64_t generation = field::integer(state, "root_generation");
  if (generation > distribution.generation || generation < -1) {
    throw std::runtime_error("saved state: field 'root_generation' must lie before generation " +
                             std::to_string(distribution.generation) + ", is " + std::to_string(generation) +
                             "; the file is damaged");
  }
  Eigen::MatrixXd root;
  if (!field::get(state, "root").is_null())
    root = unpack(field::text(state, "root"), dimension(), "strategy state: field 'root'");
  const bool identity = generation == 0 && root.size() == 0;
  if (root.size() == 0 && !identity && generation >= 0 && distribution.generation - generation < interval_) {
    throw std::runtime_error("saved state: field 'root' must not be null in generation " +
                             std::to_string(distribution.generation) + "; the file is damaged");
  }
  root_ = std::move(root);
  root_generation_ = generation;
}

void Cma::covariance_replaced() {
  root_generation_ = -1;
}

}  // namespace namm::evolve
