#pragma once
#include <string>
#include <vector>

#include "trace/settings.hpp"

namespace namm::cli {

/// The layers and KV heads to record. `layers`: "all", "every:N" (the first and every N-th behind it) or numbers of layers with a
/// global KV cache; `heads`: "all" or numbers of KV heads, the same in every layer. Throws std::invalid_argument.
std::vector<trace::RecordedLayer> recorded_layers(const HostDescription& host, const std::string& layers,
                                                  const std::string& heads);

}  // namespace namm::cli
