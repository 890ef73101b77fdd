#pragma once
#include <string>
#include <vector>

#include "adapters/llama_cpp/version/attach_rules.hpp"

namespace namm::preload {

/// Flags that an attachment asks of a llama.cpp program: returns the program's arguments with those appended that are missing.
/// Throws std::invalid_argument in one line if one of the user's flags, of llama.cpp's environment variables, of its
/// configuration files or, for a router, of its presets conflicts, under any spelling. Programs are told by their file name:
/// llama-server, llama-cli, llama-completion, llama-bench and others of the llama-* family; arguments of other programs are left
/// alone (they enable flash attention themselves).
///   arguments: those behind the program's name
///   device: whether the policy can be attached to a cache in device memory; then the flags for one are supplied to a
///     program that is told to offload all layers, or some and their cache (-kvo)
std::vector<std::string> attach_flags(const std::string& program, const std::vector<std::string>& arguments, bool device = false);

/// The flags that attach_flags() would append, for a program that was started by another one (a script); "" if there are none.
std::string missing_flags(const std::string& program, const std::vector<std::string>& arguments, bool device = false);

/// The same flags as llama.cpp's environment variables, where the user set none: for what a script may start.
void supply_by_environment();

/// Throws std::invalid_argument if a file of presets (INI) sets what conflicts and the command line does not set otherwise. A
/// file that cannot be read has none.
void check_presets(const std::string& path, const std::vector<std::string>& arguments, CachePlace place = CachePlace::host);

/// llama-server and llama-cli take back drafted tokens, and abort where that is refused.
bool aborts_at_refusals(const std::string& program);

}  // namespace namm::preload
