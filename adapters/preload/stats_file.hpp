#pragma once
#include <string>

#include "adapters/llama_cpp/context/request_log.hpp"
#include "adapters/preload/settings.hpp"

namespace namm::preload {

/// "request 3, slot 0: 1203 tokens read (512 more reused), 64 generated; 25.2 % of the entries kept, 9.6 of 38.0 MiB held ...";
/// of a text below one update, that nothing was dropped yet, and where more is kept than the budget, since when.
std::string request_line(const llama::Request& request, const CachePolicy& memory, const Settings& settings);

/// Throws std::runtime_error if the path is a FIFO or a socket: opening or writing it may wait for a reader for ever.
void check_stats_path(const std::string& path);

/// Appends the request as one JSON object and a newline, in one write: to a file, a FIFO would stop the program. Throws
/// std::runtime_error if the file cannot be written.
void append_request(const std::string& path, const llama::Request& request, const Settings& settings);

}  // namespace namm::preload
