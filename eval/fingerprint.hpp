#pragma once
#include <filesystem>
#include <string>

#include "namm/cache_policy.hpp"

namespace namm::eval {

/// As fingerprint() of a text (base/fingerprint.hpp), of a file's bytes. Throws std::runtime_error if it cannot be read.
std::string file_fingerprint(const std::filesystem::path& path);
/// Of the filler that --haystack names: the name itself of one that comes with the program or the system (own, prose, repeated,
/// code), whatever lies in the folder; of `code:FOLDER` the names and texts of its source files; else of the file (with or
/// without "file:"). Throws std::runtime_error if there is no such folder or file.
std::string haystack_fingerprint(const std::string& name);
/// Of the policy's content, its statistics and its protected tokens, so that a name (`default` of another version, a file that
/// was evolved further) is never taken for what it stood for before. Budget, mode and interval are fields of their own in a
/// record.
std::string memory_fingerprint(const CachePolicy& memory);

}  // namespace namm::eval
