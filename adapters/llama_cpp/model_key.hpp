#pragma once
#include <filesystem>
#include <string>

namespace namm::llama {

/// Sixteen hexadecimal digits that stand for a model's file wherever it lies and whatever it is called: of its size, its header
/// (all metadata, every tensor's name, shape and type) and 256 places of its weights, so that it takes milliseconds and models
/// of one family are told apart. Of a model in several files, of the one that is named. What policies made for the model are kept
/// under (core/model_policies.hpp); whether a whole file is the same byte for byte is eval::model_fingerprint's matter. Throws
/// std::runtime_error in one line if the file cannot be read or is no GGUF file.
std::string model_key(const std::filesystem::path& model);

}  // namespace namm::llama
