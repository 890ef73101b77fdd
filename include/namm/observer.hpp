#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "namm/content_reader.hpp"
#include "namm/statistics.hpp"

namespace namm {

/// Rows of attention of one (layer, KV head) as they pass by. Rows as in HeadStatistics::observe().
struct AttentionRows {
  int layer = 0;
  int kv_head = 0;
  std::span<const std::int32_t> positions;  ///< of the tokens, ascending
  std::span<const float> attention;         ///< [rows][stride], probabilities averaged over the query heads of the group
  int rows = 0;
  std::size_t stride = 0;
  std::int32_t first_position = 0;  ///< of the first row's query
};

/// Watches a cache beside the policy that decides about it (CachePolicy::observer): what recorders are. It is shown what happens
/// and has no say in what is kept.
///
///     batch by batch, layer by layer:  on_tokens -> on_queries -> on_attention of every head
///     at every update:                 on_update of every head, before anything is dropped
///
/// One layer's tokens and queries come from one thread at a time, and so do one head's attention and updates. Different layers
/// and different heads may come from several threads at once: state of their own needs no lock. An observer that is attached to
/// several hosts hears all of them.
class Observer {
 public:
  virtual ~Observer() = default;
  /// For messages.
  virtual std::string_view name() const = 0;

  // What is wanted is asked for when the observer is attached; what nobody wants is neither computed nor shown.
  /// Statistics in the views of on_update; they are kept beside those of the policy.
  virtual StatisticSet required() const { return {}; }
  /// What fills Statistic::content where the policy has no reader, if required() names it. Lives as long as the observer.
  virtual const ContentReader* reader() const { return nullptr; }
  virtual bool wants_tokens() const { return false; }
  virtual bool wants_queries() const { return false; }
  /// With a cache that the runtime holds itself (callback), this turns flash attention off.
  virtual bool wants_attention() const { return false; }

  /// Keys and values on their way into one layer.
  virtual void on_tokens(const LayerTokens&) {}
  /// Queries of one layer, behind the tokens of the same batch.
  virtual void on_queries(const LayerQueries&) {}
  /// Attention of one head over what it holds.
  virtual void on_attention(const AttentionRows&) {}
  /// One head that policies decide about (not those of sliding-window layers), as it is before the update. Views last for the
  /// call; statistics that the policy reads may be there, too. What is thrown ends the update, and comes out of it.
  virtual void on_update(const HeadTokens&) {}
};

}  // namespace namm
