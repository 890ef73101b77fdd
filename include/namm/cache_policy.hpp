#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "namm/observer.hpp"
#include "namm/policy.hpp"
#include "namm/row_format.hpp"
#include "namm/selection.hpp"
#include "namm/statistics.hpp"

namespace namm {

/// A policy with all that decides what it does to a cache: what a host attaches. A value; the with_...() give changed copies.
///
///     const CachePolicy quarter = load_policy("policy.json").with_budget("25%");
struct CachePolicy {
  std::shared_ptr<const Policy> policy;          ///< null or keeps_everything(): nothing is ever dropped
  SpectrogramSettings spectrogram;               ///< of the statistics; a policy file says what the policy was evolved with
  SelectionSettings selection;                   ///< budget, mode, protected tokens
  int interval_tokens = 512;                     ///< tokens between updates, at least 1
  RowFormats store = {};                         ///< what is held, and how; scores are of what keys and values were before
  std::shared_ptr<Observer> observer = nullptr;  ///< who watches meanwhile, with or without a policy; null: nobody

  /// "25%", "0.25", "256" (tokens per layer and KV head), "64MiB", "12.5%bytes", "none" (parse_budget). Throws
  /// std::invalid_argument.
  CachePolicy with_budget(std::string_view budget) const;
  CachePolicy with_budget(const Budget& budget) const;
  /// "uniform", "pooled", "threshold", "reference" (SelectionMode). Throws std::invalid_argument.
  CachePolicy with_mode(std::string_view mode) const;
  CachePolicy with_interval(int tokens) const;
  /// "f16", "q8_0", "q4_0", "q8_0,q4_0" (keys, values), "f16+4means" (parse_row_formats). llama.cpp's caches in host memory can;
  /// in device memory it is refused; the C interface only tells it, Transformers warns. Throws std::invalid_argument.
  CachePolicy with_store(std::string_view formats) const;
  /// Tokens that are never dropped: the first `sinks` and the newest `recent`.
  CachePolicy with_protection(int sinks, int recent) const;

  /// False if nothing is ever dropped.
  bool drops() const { return policy && !policy->keeps_everything(); }
  /// False if an update would be nobody's business.
  bool updates() const { return drops() || observer; }

  // What a host has to provide: what the policy and the observer want together.
  StatisticSet required() const;
  /// What fills Statistic::content: the policy's reader, else the observer's; null if there is none.
  const ContentReader* reader() const;
  bool reads_tokens() const;     ///< keys and values when they enter the cache
  bool reads_queries() const;    ///< queries
  bool reads_attention() const;  ///< probabilities, for statistics or as they are
};

/// "default" (comes with the library), a registered name ("h2o-mean"), or the path of a policy file (JSON or safetensors,
/// told apart by their content) or a run's folder. Throws std::invalid_argument for an unknown name, with the nearest ones, and
/// std::runtime_error for a file that is not one.
CachePolicy load_policy(const std::string& name_or_path);

/// Throws std::invalid_argument (subject, rule, value seen, remedy) for a policy that cannot work as it is: an interval below 1,
/// a budget of fewer tokens than are protected, features that need a probe and have none.
void require_valid(const CachePolicy& policy);

/// One update of a cache: scores every head (parallel over heads) and selects. heads: one entry per (layer, KV head), with layer
/// and kv_head set; budget_tokens as for select(). Where the policy keeps everything, nothing is scored. Deterministic, whatever
/// `threads` (0: as many as the machine has). Throws what the policy and select() throw.
Selection plan_update(const Policy& policy, const SelectionSettings& settings, std::span<const HeadTokens> heads,
                      std::int64_t budget_tokens, int threads = 0);

/// The same under the policy's own budget, behind its observer's look at the heads (parallel over heads). `tokens_seen` by the
/// sequence; `bytes_per_token` of keys and values of all heads together, of which there are `all_heads` if the update is about
/// some of them only (0: about all); `compression`: what a token takes in 16 bits over what it takes as it is held
/// (Budget::tokens). What means of evicted tokens take (store.means) goes off the budget. Nothing may be dropped: all is kept.
Selection update_heads(const CachePolicy& policy, std::span<const HeadTokens> heads, std::int64_t tokens_seen,
                       double bytes_per_token, std::int64_t all_heads = 0, int threads = 0, double compression = 1);

}  // namespace namm
