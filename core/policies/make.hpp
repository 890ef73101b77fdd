#pragma once
#include <memory>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "namm/policy.hpp"

namespace namm {

// One function per policy file; the registry lists them. Contract: PolicyEntry::make.
std::unique_ptr<Policy> make_full(const nlohmann::json& settings);
std::unique_ptr<Policy> make_namm(const nlohmann::json& settings);
std::unique_ptr<Policy> make_namm_mlp(const nlohmann::json& settings);
std::unique_ptr<Policy> make_linear(const nlohmann::json& settings);
std::unique_ptr<Policy> make_key_probe(const nlohmann::json& settings);
std::unique_ptr<Policy> make_random(const nlohmann::json& settings);
std::unique_ptr<Policy> make_streaming(const nlohmann::json& settings);
std::unique_ptr<Policy> make_h2o(const nlohmann::json& settings);
std::unique_ptr<Policy> make_h2o_half(const nlohmann::json& settings);
std::unique_ptr<Policy> make_h2o_mean(const nlohmann::json& settings);
std::unique_ptr<Policy> make_tova(const nlohmann::json& settings);
std::unique_ptr<Policy> make_tova_layer(const nlohmann::json& settings);
std::unique_ptr<Policy> make_snapkv(const nlohmann::json& settings);
std::unique_ptr<Policy> make_knorm(const nlohmann::json& settings);

/// Whether lists of numbers may come to it packed (base/json_fields.hpp): to those above. Registered ones read JSON.
bool takes_packed_numbers(std::string_view name);

}  // namespace namm
