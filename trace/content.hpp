#pragma once
#include <map>
#include <memory>
#include <vector>

#include "namm/cache_policy.hpp"
#include "trace/record.hpp"

namespace namm::trace {

/// Statistic::content of every token, by recorded head in the order of the layers: [head][token].
using Content = std::vector<std::vector<float>>;

/// What a policy's reader makes of the recorded keys and values. With rows in F16 it differs from a live run's by their rounding.
/// Readers that turn keys to their places find no rotation.
Content read_content(const PromptRecord& record, const ContentReader& reader);

/// What the reader of a memory (CachePolicy::reader) makes of it; null if content is not required or there are no keys to read.
std::shared_ptr<const Content> content_for(const PromptRecord& record, const CachePolicy& memory);

/// The same, remembered for the prompts that one reader met: candidates of one evolution share theirs. Not thread-safe.
class ContentMemory {
 public:
  /// As content_for().
  std::shared_ptr<const Content> of(const PromptRecord& record, const CachePolicy& memory);

 private:
  CachePolicy owner_;  // keeps the reader alive, so that its address names it
  std::map<const void*, std::shared_ptr<const Content>> known_;
};

}  // namespace namm::trace
