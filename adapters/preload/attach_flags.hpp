#pragma once
#include <string>
#include <vector>

namespace namm::preload {

/// Flags that an attachment asks of a llama.cpp program: returns the program's arguments with those appended that are missing.
/// Throws std::invalid_argument in one line if one of the user's flags, or of llama.cpp's environment variables, conflicts.
/// Programs are told by their file name: llama-server, llama-cli, llama-completion, llama-bench and others of the llama-* family;
/// arguments of other programs are left alone (they enable flash attention themselves).
///   arguments: those behind the program's name
std::vector<std::string> attach_flags(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace namm::preload
