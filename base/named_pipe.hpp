#pragma once
#include <filesystem>

namespace namm {

/// Whether it is a FIFO with a name: whoever opens one waits for somebody who may never come. The pipes of a shell ("<(...)",
/// /dev/stdin) have none.
inline bool is_named_pipe(const std::filesystem::path& path) {
  std::error_code absent;
  if (!std::filesystem::is_fifo(path, absent)) return false;
  return !std::filesystem::canonical(path, absent).empty();  // /dev/fd/63 leads to "pipe:[1234]", which is nowhere
}

}  // namespace namm
