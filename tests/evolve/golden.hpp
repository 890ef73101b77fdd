#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <Eigen/Dense>
#include <nlohmann/json.hpp>

namespace golden {

/// A file of check numbers from NAMM_GOLDEN_DIR, else from the source tree.
inline nlohmann::json load(const std::string& name) {
  const char* folder = std::getenv("NAMM_GOLDEN_DIR");
  const std::string path = (folder != nullptr ? std::string(folder) : std::string(NAMM_SOURCE_DIR "/tests/golden")) + "/" + name;
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  return nlohmann::json::parse(in);
}

inline Eigen::VectorXd vector(const nlohmann::json& values) {
  Eigen::VectorXd out(static_cast<Eigen::Index>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) out(static_cast<Eigen::Index>(i)) = values[i].get<double>();
  return out;
}

/// Rows of the JSON become columns.
inline Eigen::MatrixXd columns(const nlohmann::json& rows) {
  Eigen::MatrixXd out(static_cast<Eigen::Index>(rows[0].size()), static_cast<Eigen::Index>(rows.size()));
  for (std::size_t k = 0; k < rows.size(); ++k) out.col(static_cast<Eigen::Index>(k)) = vector(rows[k]);
  return out;
}

/// Largest difference, relative to the largest golden entry (entries near 0 of a vector have no relative accuracy of their own).
inline double error(const Eigen::MatrixXd& got, const Eigen::MatrixXd& expected) {
  if (got.rows() != expected.rows() || got.cols() != expected.cols()) return INFINITY;
  const double scale = std::max(expected.cwiseAbs().maxCoeff(), 1e-300);
  return (got - expected).cwiseAbs().maxCoeff() / scale;
}

inline double error(double got, double expected) {
  return std::abs(got - expected) / std::max(std::abs(expected), 1e-300);
}

/// Prints what was measured if NAMM_REPORT is set; a passing test is silent otherwise.
template <class... Parts>
void report(const Parts&... parts) {
  if (std::getenv("NAMM_REPORT") == nullptr) return;
  std::ostringstream line;
  (line << ... << parts);
  std::cout << line.str() << std::endl;
}

}  // namespace golden
