#pragma once
#include <string>

#include "adapters/llama_cpp/context/request_log.hpp"
#include "adapters/preload/settings.hpp"

namespace namm::preload {

/// "request 3, slot 0: 1203 tokens read (512 more reused), 64 generated; 25.2 % of the entries kept, 9.6 of 38.0 MiB held ...";
/// of a text below one update, that nothing was dropped yet.
std::string request_line(const llama::Request& request, const CachePolicy& memory);

/// Appends the request as one JSON object and a newline, in one write. Throws std::runtime_error if the file cannot be written.
void append_request(const std::string& path, const llama::Request& request, const Settings& settings);

}  // namespace namm::preload
