#include "core/policy_tensors.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <vector>

#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "base/safetensors.hpp"

namespace namm {
namespace {

using nlohmann::json;

constexpr const char* kPart = "policy";

struct Taken {
  std::string name, bytes;
  std::size_t number_bytes, count;
};

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Taken take(const json& list, const std::string& name) {
  const auto is_float = [](const json& number) {
    const double wide = number.get<double>();
    return std::abs(wide) < 0x1p128 && detail::number_of(static_cast<float>(wide)) == number;
  };
  const bool narrow = std::all_of(list.begin(), list.end(), is_float);
  Taken out{name, {}, narrow ? sizeof(float) : sizeof(double), list.size()};
  out.bytes.reserve(out.number_bytes * out.count);
  for (const json& number : list) {
    const double wide = number.get<double>();
    if (!std::isfinite(wide)) throw std::invalid_argument(name + ": must be finite numbers to be saved, has one that is not");
    narrow ? append(out.bytes, static_cast<float>(wide)) : append(out.bytes, wide);
  }
  return out;
}

bool has_place(const std::string& name) {
  return name.find('.') == std::string::npos;
}

/// Calls visit(value, place) for every value below `value` that `wanted` picks, and does not look into those.
template <class Wanted, class Visit>
void walk(json& value, const std::string& place, const Wanted& wanted, const Visit& visit) {
  const auto next = [&](json& child, const std::string& name) {
    if (wanted(child))
      visit(child, place + "." + name);
    else if (child.is_structured())
      walk(child, place + "." + name, wanted, visit);
  };
  if (value.is_object()) {
    for (auto& [name, child] : value.items())
      if (has_place(name)) next(child, name);
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      if (value[i].is_structured() || wanted(value[i])) next(value[i], std::to_string(i));
  }
}

bool is_list(const json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const json& one) { return one.is_number_float(); });
}

}  // namespace

std::string pack_policy(json content) {
  std::vector<Taken> taken;
  walk(content[kPart], kPart, is_list, [&](json& list, const std::string& place) {
    taken.push_back(take(list, place));
    list = nullptr;
  });
  std::stable_partition(taken.begin(), taken.end(), [](const Taken& one) { return one.number_bytes == sizeof(double); });
  std::vector<Tensor> tensors;
  for (const Taken& one : taken) tensors.push_back({one.name, one.number_bytes, {one.count}, one.bytes});
  std::string out =
      safetensors_header({{kPolicyMetadata, content.dump(-1, ' ', false, json::error_handler_t::replace)}}, tensors);
  for (const Taken& one : taken) out += one.bytes;
  return out;
}

json unpack_policy(std::string_view bytes) {
  const Safetensors file = read_safetensors(bytes);
  const auto text = file.metadata.find(kPolicyMetadata);
  if (text == file.metadata.end())
    throw std::runtime_error(
        "__metadata__ must have \"namm-policy\" to be a policy file, has none; is it the weights of a model?");
  json content;
  try {
    content = detail::parse_json(text->second, detail::kMostJsonValues, detail::RepeatedNames::refused);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(std::string("__metadata__.namm-policy ") + error.what());
  }
  std::map<std::string, const Tensor*> open;
  for (const Tensor& tensor : file.tensors) open[tensor.name] = &tensor;
  if (content.is_object() && content.contains(kPart))
    walk(
        content[kPart], kPart, [](const json& value) { return value.is_null(); },
        [&](json& value, const std::string& place) {
          const auto found = open.find(place);
          if (found == open.end()) return;  // a null as in any JSON
          value = detail::packed_numbers(found->second->bytes, found->second->number_bytes);
          open.erase(found);
        });
  if (!open.empty())
    throw std::runtime_error("tensor " + detail::one_line(open.begin()->first.substr(0, 60)) +
                             " must be named like a null of the policy's JSON, is not; copy or write the file anew");
  return content;
}

}  // namespace namm
