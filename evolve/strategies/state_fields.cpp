#include "evolve/strategies/state_fields.hpp"

#include <cmath>
#include <stdexcept>

namespace namm::evolve::field {
namespace {

[[noreturn]] void wrong(const char* name, const std::string& rule) {
  throw std::runtime_error("saved state: field '" + std::string(name) + "' " + rule +
                           "; the file is damaged or is something else");
}

double finite(const nlohmann::json& value, const char* name) {
  if (!value.is_number()) wrong(name, "must hold numbers, has " + std::string(value.type_name()));
  const double result = value.get<double>();
  if (!std::isfinite(result)) wrong(name, "must be finite");
  return result;
}

}  // namespace

const nlohmann::json& get(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) wrong(name, "must be in an object, which is " + std::string(object.type_name()));
  const auto found = object.find(name);
  if (found == object.end()) wrong(name, "is missing");
  return *found;
}

double number(const nlohmann::json& object, const char* name) {
  return finite(get(object, name), name);
}

std::int64_t integer(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = get(object, name);
  if (!value.is_number_integer()) wrong(name, "must be a whole number, is " + std::string(value.type_name()));
  return value.get<std::int64_t>();
}

bool boolean(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = get(object, name);
  if (!value.is_boolean()) wrong(name, "must be true or false, is " + std::string(value.type_name()));
  return value.get<bool>();
}

std::string text(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = get(object, name);
  if (!value.is_string()) wrong(name, "must be a text, is " + std::string(value.type_name()));
  return value.get<std::string>();
}

Eigen::VectorXd vector(const nlohmann::json& object, const char* name, std::size_t size) {
  const nlohmann::json& value = get(object, name);
  if (!value.is_array() || value.size() != size) {
    wrong(name, "must hold " + std::to_string(size) + " numbers, has " + std::to_string(value.is_array() ? value.size() : 0));
  }
  Eigen::VectorXd result(static_cast<Eigen::Index>(size));
  for (std::size_t i = 0; i < size; ++i) result(static_cast<Eigen::Index>(i)) = finite(value[i], name);
  return result;
}

nlohmann::json from_vector(const Eigen::VectorXd& values) {
  nlohmann::json array = nlohmann::json::array();
  for (double value : values) array.push_back(value);
  return array;
}

void expect(const nlohmann::json& object, const char* name, const nlohmann::json& value) {
  const nlohmann::json& found = get(object, name);
  if (found != value) {
    throw std::runtime_error("saved state: field '" + std::string(name) + "' must be " + value.dump() + " here, is " +
                             found.dump() + "; it belongs to a run with other settings");
  }
}

}  // namespace namm::evolve::field
