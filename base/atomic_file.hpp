#pragma once
#include <filesystem>
#include <span>
#include <string_view>

namespace namm {

/// Replaces `path` by `content` as a whole: temporary file beside it ("NAME.tmp.PROCESS.NUMBER"), fsync, rename. Throws
/// std::runtime_error naming the path and the system's reason; the old content then still stands and the temporary file is gone.
/// What killed processes left of this kind is removed: a temporary file is locked (flock) as long as its writer lives.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);
/// The same with a content in pieces, one behind the other.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces);
/// The same for a file that must not be there yet; false if it is.
bool create_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace namm
