#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace namm::eval {

/// 16 hexadecimal digits (FNV-1a, 64 bits): tells contents apart, nothing more.
std::string fingerprint(std::string_view text);
/// The same of a file's bytes. Throws std::runtime_error if it cannot be read.
std::string file_fingerprint(const std::filesystem::path& path);
/// Of the filler that --haystack names: the name itself of one that comes with the program or the system (own, prose, repeated,
/// code), whatever lies in the folder; of `code:FOLDER` the names and texts of its source files; else of the file (with or
/// without "file:"). Throws std::runtime_error if there is no such folder or file.
std::string haystack_fingerprint(const std::string& name);

}  // namespace namm::eval
