#include "adapters/llama_cpp/context/request_log.hpp"

#include <algorithm>

namespace namm::llama {

void RequestLog::report(Open& open) {
  Request& request = open.request;
  if (!any_read_) {
    request.prompt_tokens += request.generated_tokens - open.singles;
    request.generated_tokens = open.singles;
  }
  // prompts alone are warm-ups and probes (embeddings have no cache to save in)
  if (!open.changed || (request.generated_tokens == 0 && !open.sampled)) return;
  open.changed = false;
  // what was sampled last of each answer has been seen by nobody but the program: it is evaluated with what comes next, or never
  const std::int64_t evaluated = request.generated_tokens;
  if (open.sampled) request.generated_tokens += open.most_answers;
  ended_(request);
  request.generated_tokens = evaluated;
}

void RequestLog::finish(std::map<std::int64_t, Open>::iterator which) {
  report(which->second);
  open_.erase(which);
}

/// Of which sequence an output is cannot be seen. Those with a single token were generating; of prompts, all are taken to have
/// come to their end if there are outputs for all, else none.
void RequestLog::note_sampled() {
  any_read_ = any_read_ || !read_.empty();
  std::size_t newest = 0;
  for (const auto& [key, open] : open_) newest += open.tokens > 0;
  for (auto& [key, open] : open_)
    if (open.tokens > 0 && !read_.empty()) open.sampled = open.tokens <= open.answers || read_.size() >= newest;
}

void RequestLog::batch(std::span<const BatchShare> shares, std::span<const SequenceUse> uses,
                       const std::function<Holder(std::int64_t)>& holder_of, double began, double now) {
  note_sampled();
  read_.clear();
  for (auto& [key, open] : open_) open.tokens = 0;
  for (const BatchShare& share : shares) {
    const std::int64_t tokens = share.last - share.first + 1;
    const Holder holder = holder_of(share.key);
    const std::int64_t answers = std::max<std::int64_t>(holder.count, 1);
    auto found = open_.find(share.key);
    const auto generating = [&](const Open& open) {
      return open.sampled || open.request.generated_tokens > 0 || (!any_read_ && open.singles > 0);
    };
    if (found != open_.end() && (share.first <= found->second.last || (tokens > answers && generating(found->second)))) {
      finish(found);
      found = open_.end();
    }
    if (found == open_.end()) {
      found = open_.emplace(share.key, Open{}).first;
      found->second.began = began;
      found->second.request.reused_tokens = share.first;
    }
    Open& open = found->second;
    (open.sampled || open.request.generated_tokens > 0 ? open.request.generated_tokens : open.request.prompt_tokens) += tokens;
    open.singles += tokens <= answers && open.last >= 0 ? tokens : 0;
    open.answers = answers;
    open.most_answers = std::max(open.most_answers, answers);
    open.sampled = false;
    open.changed = true;
    open.tokens += tokens;
    open.last = share.last;
    open.ended = now;
    open.request.seconds = now - open.began;
    open.request.sequence = holder.sequence;
    for (const SequenceUse& use : uses)
      if (use.key == share.key) open.request.cache = use;
  }
  for (auto& [key, open] : open_)
    if (open.ended < now - kPauseSeconds) report(open);
}

void RequestLog::end(std::int64_t key) {
  note_sampled();
  if (const auto open = open_.find(key); open != open_.end()) finish(open);
}

void RequestLog::end_all() {
  note_sampled();
  while (!open_.empty()) finish(open_.begin());
}

void RequestLog::pause(double before) {
  note_sampled();
  for (auto& [key, open] : open_)
    if (open.ended < before) report(open);
}

}  // namespace namm::llama
