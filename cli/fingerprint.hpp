#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace namm::cli {

/// 16 hexadecimal digits (FNV-1a, 64 bits): tells contents apart, nothing more.
std::string fingerprint(std::string_view text);
/// The same of a file's bytes. Throws std::runtime_error if it cannot be read.
std::string file_fingerprint(const std::filesystem::path& path);

}  // namespace namm::cli
