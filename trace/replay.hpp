#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "trace/content.hpp"
#include "trace/record.hpp"

namespace namm::trace {

/// Plays a memory's updates on a record: what would be kept if every token's statistics went on as with a full cache.
///
/// An observer is shown the updates; tokens, queries and attention are not replayed.
///
/// Exact up to and including the first eviction, for a run with the recorded interval. After it a live run differs: its attention
/// is spread over fewer tokens, and later tokens are computed from what was kept. A replay claims no live quality.
///
///     Replay replay(settings, record, memory, content);
///     replay.advance();   // the compressed tokens, with an update at every multiple of the memory's interval
///     replay.update();    // the end of the context, before the question
///     replay.kept();
class Replay {
 public:
  /// `content` as read_content gives it; null if the policy reads none. Everything must outlive the replay. Throws
  /// std::invalid_argument if the memory's interval is no multiple of the recorded one, its spectrogram decays differently, or
  /// what its policy or its observer reads was not recorded.
  Replay(const Settings& settings, const PromptRecord& record, const CachePolicy& memory, std::shared_ptr<const Content> content);

  /// Up to `until` tokens at most.
  void advance(std::size_t until = static_cast<std::size_t>(-1));
  void update();
  /// By recorded head, in the order of the layers: positions kept, ascending.
  const std::vector<std::vector<std::int32_t>>& kept() const { return kept_; }
  std::vector<HeadContent> content() const;
  std::int64_t updates() const { return updates_; }
  std::int64_t nan_scores() const { return nan_scores_; }

 private:
  void update_at(std::size_t point);

  const Settings& settings_;
  const PromptRecord& record_;
  const CachePolicy& memory_;
  std::shared_ptr<const Content> content_;
  std::vector<std::vector<std::int32_t>> kept_;
  std::size_t seen_ = 0;  ///< tokens, at the last update
  std::int64_t updates_ = 0, nan_scores_ = 0;
};

}  // namespace namm::trace
