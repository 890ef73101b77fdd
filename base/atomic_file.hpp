#pragma once
#include <filesystem>
#include <span>
#include <string_view>

namespace namm {

/// Replaces `path` by `content` as a whole: temporary file beside it, fsync, rename. Throws std::runtime_error naming the path
/// and the system's reason; the old content then still stands and the temporary file is gone.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);
/// The same with a content in pieces, one behind the other.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces);

}  // namespace namm
