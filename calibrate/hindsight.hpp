#pragma once
#include <memory>
#include <string_view>

#include "host/protocol.hpp"
#include "namm/policy.hpp"

namespace namm::calibrate {

/// For comparisons: looks at each prompt once before, with the full cache, and then knows a score for every token. Makes a policy
/// per prompt and is none itself: nothing of the kind is to be had at run time.
class Hindsight {
 public:
  virtual ~Hindsight() = default;
  virtual std::string_view name() const = 0;
  /// The policy for one prompt, of the same name. Evaluates it on `host` from the start, and leaves the host reset.
  virtual std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const = 0;
};

/// `oracle`: attention from the question and the gold answer. `kvzip`: attention while the model repeats the context (KVzip,
/// arXiv 2505.23416), which a runtime could afford as a second pass over every prompt; `kvzip-mean` with the mean over a group's
/// query heads instead of the largest. `expected-attention`: a baseline that
/// reads the context alone, but all of it before the first token is dropped (arXiv 2510.00636). Null if there is none of this
/// name, in any spelling ("KVzip", "expected_attention").
std::shared_ptr<const Hindsight> make_hindsight(std::string_view name);

}  // namespace namm::calibrate
