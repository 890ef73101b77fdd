#pragma once
#include <cstdint>
#include <string>

#include <Eigen/Dense>
#include <nlohmann/json.hpp>

/// Reading fields of saved state. Everything throws std::runtime_error that names the field if it is missing or of the wrong
/// kind: the content comes from a file.
namespace namm::evolve::field {

const nlohmann::json& get(const nlohmann::json& object, const char* name);
double number(const nlohmann::json& object, const char* name);  ///< finite
std::int64_t integer(const nlohmann::json& object, const char* name);
bool boolean(const nlohmann::json& object, const char* name);
std::string text(const nlohmann::json& object, const char* name);
/// `size` finite numbers.
Eigen::VectorXd vector(const nlohmann::json& object, const char* name, std::size_t size);
nlohmann::json from_vector(const Eigen::VectorXd& values);
/// The field must equal `value`: the state belongs to a run with other settings otherwise.
void expect(const nlohmann::json& object, const char* name, const nlohmann::json& value);

}  // namespace namm::evolve::field
