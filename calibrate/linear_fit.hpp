#pragma once
#include <memory>

#include "core/policies/network_policy.hpp"
#include "trace/reader.hpp"

namespace namm::calibrate {

/// A start for evolution: the policy with this network and these features, linear in them, whose score is closest, in least
/// squares, to ln(attention + 1e-3) of what the answer's positions pay a token, over all heads and training prompts of a trace
/// (all prompts if none is for training), at the end of the compressed part with everything kept. Features are normalised as
/// `policy` does; ridge penalty 1e-4 per row. The first `sinks` tokens do not count. Throws std::invalid_argument if the policy
/// reads what was not recorded.
std::shared_ptr<const Policy> fit_linear(const NetworkPolicy& policy, const trace::Reader& trace,
                                         const SpectrogramSettings& spectrogram, int sinks);

}  // namespace namm::calibrate
