#pragma once
#include <filesystem>
#include <string>

namespace namm::eval {

/// file_fingerprint of a model, with all files of one that is split (NAME-00001-of-00003.gguf). Kept in the user's cache folder
/// (XDG_CACHE_HOME, else ~/.cache; below namm/models) under the file's path, inode, size and time, so that a large model is read
/// once; where that folder cannot be written, it is read every time. Throws std::runtime_error if a file cannot be read.
std::string model_fingerprint(const std::filesystem::path& model);

}  // namespace namm::eval
