#pragma once

namespace namm {

/// Of this program, e.g. "0.1.0".
const char* version();
/// What it was built from: 12 hexadecimal digits of the commit, "-dirty" behind them if a file in it was changed; "unknown"
/// outside of a repository.
const char* commit();
/// Of the llama.cpp that it was built with; empty if it was built without.
const char* llama_version();

}  // namespace namm
