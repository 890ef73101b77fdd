#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "host/protocol.hpp"
#include "namm/policy.hpp"

namespace namm::calibrate {

/// A policy for comparisons that looks at each prompt once before, with the full cache, and then knows a score for every token.
/// Not to be had at run time as it is.
class Hindsight : public Policy {
 public:
  /// The policy for one prompt. Evaluates it on `host` from the start, and leaves the host reset.
  virtual std::shared_ptr<const Policy> look(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const = 0;
  StatisticSet required() const override { return {}; }
  /// Throws std::logic_error: only what look() gives can score.
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
};

/// `oracle`: attention from the question and the gold answer. `kvzip`: attention while the model repeats the context (KVzip,
/// arXiv 2505.23416), which a runtime could afford as a second pass over every prompt. `expected-attention`: a baseline that
/// reads the context alone, but all of it before the first token is dropped (arXiv 2510.00636). Null if there is none of this
/// name.
std::shared_ptr<const Hindsight> make_hindsight(std::string_view name);

}  // namespace namm::calibrate
