#pragma once
#include <filesystem>
#include <string_view>

namespace namm {

/// Appends all of `text` to an open file or nothing: what a full disk took of it is cut off again, so that no half line is left
/// for the next to be glued to. Returns 0, or the system's error. Pipes and devices keep what they got.
int append_whole(int file, std::string_view text);
/// The same with the file's name; makes it if it is not there. Never waits for a reader: where `path` is a FIFO without one, that
/// is an error.
int append_whole(const std::filesystem::path& path, std::string_view text);

}  // namespace namm
