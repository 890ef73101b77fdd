#pragma once
#include <filesystem>
#include <string>

namespace namm::cli {

/// The program as it is started: a path as it is; a name of llama.cpp's (llama-...) beside namm, in build/llama/bin of the tree
/// that built it, then on the PATH; another name on the PATH. What lies beside comes first because it is of the llama.cpp that
/// namm was built with, and what does not fit is refused only once the program runs. Throws std::runtime_error if it is nowhere.
std::filesystem::path find_program(const std::string& name);

/// Throws std::runtime_error if the system would leave the preloaded library out without a word: of a statically linked program,
/// and of one that runs with more rights than its user has.
void check_preloadable(const std::filesystem::path& program);

/// Throws std::runtime_error if LD_PRELOAD cannot hold this path: blanks and colons split it.
void check_preload_path(const std::filesystem::path& library);

}  // namespace namm::cli
