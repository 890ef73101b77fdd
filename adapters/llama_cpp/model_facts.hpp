#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/gguf_header.hpp"

namespace namm::llama {

/// Shape of a model's KV cache, as the header of its GGUF file tells it.
struct CacheShape {
  std::int64_t layers = 0;             ///< all layers
  std::vector<std::int64_t> cached;    ///< layers with a KV cache, ascending
  std::vector<std::int64_t> kv_heads;  ///< of each of them
  std::vector<bool> windowed;          ///< each of them: sees a sliding window of `window` tokens; such layers drop what left it
  std::int64_t query_heads = 0, key_size = 0, value_size = 0, window = 0;
  double bytes_per_token() const;  ///< keys and values of all layers as F16
};

CacheShape cache_shape(const GgufHeader& header, const std::string& architecture);

/// What decides whether a policy attaches to it (attachable.hpp).
ModelTraits traits_of(const GgufHeader& header, const std::string& architecture, const CacheShape& shape);

/// Everything `namm inspect` says about a model. Throws std::runtime_error in one line if the file is damaged.
nlohmann::ordered_json model_facts(const std::filesystem::path& path);

}  // namespace namm::llama
