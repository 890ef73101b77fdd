#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace namm {

/// A policy file in binary form is a safetensors file (base/safetensors.hpp). Its metadata has the JSON of the file under this
/// name, in which every list of floating-point numbers in "policy" is null; the list is the tensor that is called like its place:
/// "policy.weights", "policy.probe.layers.3.weights".
inline constexpr const char* kPolicyMetadata = "namm-policy";
inline constexpr std::string_view kBinaryPolicyEnding = ".safetensors";

/// The whole file. A list is F32 if all of its numbers are those of number_of() (base/json_fields.hpp), as our policies write
/// them, else F64: nothing is rounded. Names with a dot stay in the JSON with all that is under them. Throws
/// std::invalid_argument if a number is not finite.
std::string pack_policy(nlohmann::json content);

/// The JSON with its lists back as packed numbers. Throws std::runtime_error (subject, rule, value seen, remedy) on everything
/// that pack_policy() does not write, but for other metadata, other shapes of as many numbers, and another order of tensors.
nlohmann::json unpack_policy(std::string_view bytes);

}  // namespace namm
