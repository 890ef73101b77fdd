#include "adapters/llama_cpp/context/request_log.hpp"

#include <algorithm>
#include <iterator>

namespace namm::llama {

void RequestLog::finish(std::map<std::int64_t, Open>::iterator which) {
  const Request& request = which->second.request;
  // prompts alone are warm-ups and probes (embeddings have no cache to save in)
  if (request.generated_tokens > 0) ended_(request);
  open_.erase(which);
}

void RequestLog::batch(std::span<const BatchShare> shares, std::span<const SequenceUse> uses,
                       const std::function<std::int32_t(std::int64_t)>& sequence_of, double began, double now) {
  for (auto open = open_.begin(); open != open_.end();) {
    const auto next = std::next(open);
    const bool present =
        std::any_of(shares.begin(), shares.end(), [&](const BatchShare& share) { return share.key == open->first; });
    if (!present && !shares.empty() && open->second.request.generated_tokens > 0) finish(open);
    open = next;
  }
  for (const BatchShare& share : shares) {
    const std::int64_t tokens = share.last - share.first + 1;
    auto open = open_.find(share.key);
    if (open != open_.end() && (share.first <= open->second.last || (tokens > 1 && open->second.request.generated_tokens > 0))) {
      finish(open);
      open = open_.end();
    }
    if (open == open_.end()) {
      open = open_.emplace(share.key, Open{}).first;
      open->second.began = began;
      open->second.request.reused_tokens = share.first;
      open->second.request.prompt_tokens = tokens;
    } else if (tokens == 1) {
      ++open->second.request.generated_tokens;
    } else {
      open->second.request.prompt_tokens += tokens;
    }
    Request& request = open->second.request;
    open->second.last = share.last;
    request.seconds = now - open->second.began;
    request.sequence = sequence_of(share.key);
    for (const SequenceUse& use : uses)
      if (use.key == share.key) request.cache = use;
  }
}

void RequestLog::end(std::int64_t key) {
  if (const auto open = open_.find(key); open != open_.end()) finish(open);
}

void RequestLog::end_all() {
  while (!open_.empty()) finish(open_.begin());
}

}  // namespace namm::llama
