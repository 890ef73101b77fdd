#pragma once
#include "cli/options.hpp"

namespace namm::cli {

/// --attachment, --cells, --gpu-layers: who holds the KV cache, and where.
void add_attachment(po::options_description& options);
/// Reads them into `options`. Throws std::invalid_argument if they contradict each other.
void read_attachment(const po::variables_map& values, ModelOptions& options);
/// Throws std::invalid_argument if this memory cannot be attached that way.
void check_attachment(const ModelOptions& options, const CachePolicy& memory);
/// The same with the attachment alone, for a host that only tokenises.
ModelOptions tokenising(const ModelOptions& options);

}  // namespace namm::cli
