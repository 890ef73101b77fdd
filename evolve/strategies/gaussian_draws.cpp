#include "evolve/strategies/gaussian_draws.hpp"

#include <locale>
#include <sstream>
#include <stdexcept>

namespace namm::evolve {

void GaussianDraws::fill(Eigen::MatrixXd& out) {
  for (Eigen::Index column = 0; column < out.cols(); ++column) {
    for (Eigen::Index row = 0; row < out.rows(); ++row) out(row, column) = normal_(engine_);
  }
}

std::string GaussianDraws::state() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << engine_ << ' ' << normal_;
  return out.str();
}

void GaussianDraws::restore(const std::string& state) {
  std::istringstream in(state);
  in.imbue(std::locale::classic());
  boost::random::mt19937_64 engine;
  boost::random::normal_distribution<double> normal;
  in >> engine >> normal;
  if (in.fail() || normal.mean() != 0 || normal.sigma() != 1) {
    throw std::runtime_error(
        "strategy state: field 'random' must be the state of a random number generator; the file is damaged");
  }
  engine_ = engine;
  normal_ = normal;
}

}  // namespace namm::evolve
