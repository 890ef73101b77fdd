#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm {

using Token = std::int32_t;

struct HostDescription {
  std::string model;         ///< file name or the model's own name
  std::string architecture;  ///< e.g. "llama", "jamba"
  int layers = 0;            ///< all layers of the model
  int query_heads = 0;
  int train_context = 0;                 ///< tokens; 0 = unknown
  std::vector<LayerDescription> cached;  ///< layers with a KV cache, ascending
  double bytes_per_token() const;        ///< of keys and values of all cached layers, in the cache's types
  /// What a token takes in 16 bits over what it takes in a store of these formats (Budget::tokens).
  double compression(const RowFormats& store) const;
  /// (layer, KV head) pairs with a cache.
  std::int64_t cached_heads() const;
  double cache_bytes_per_number = 2;  ///< 2 for F16
};

struct Generation {
  std::string text;
  std::vector<Token> tokens;
  double seconds = 0;  ///< decode time
};

/// What a host held at some point, to go on from several times. Belongs to the model and its settings, not to one host.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual std::size_t bytes() const = 0;  ///< of memory, about
};

/// A language model with a cache that a memory can be attached to. One sequence at a time. Not thread-safe: one per worker.
class Host {
 public:
  virtual ~Host() = default;
  virtual const HostDescription& description() const = 0;
  virtual std::vector<Token> tokenize(std::string_view text, bool add_special) const = 0;
  /// The same for text of ours that contains special tokens by name (a chat template); user text never goes through it.
  virtual std::vector<Token> tokenize_template(std::string_view text) const { return tokenize(text, false); }
  virtual std::string detokenize(std::span<const Token> tokens) const = 0;
  /// The user's turn in the model's chat template; empty prefix and suffix if the model has none.
  struct ChatTemplate {
    std::string before_user, after_user;
  };
  virtual ChatTemplate chat_template() const = 0;

  /// Forgets the sequence and attaches `memory` from now on.
  virtual void reset(const CachePolicy& memory) = 0;
  /// Evaluates tokens behind those already there, in chunks that end where the token count is a multiple of the interval;
  /// updates happen there. Throws std::runtime_error when the context is full.
  virtual void evaluate(std::span<const Token> tokens) = 0;
  /// Updates now, so that the cache meets its budget (end of a context, before the question).
  virtual void update() = 0;
  /// Natural log-probability of each of `tokens` given everything before it; evaluates them.
  virtual std::vector<double> log_likelihood(std::span<const Token> tokens) = 0;
  /// Greedy continuation until `max_tokens`, end of generation, or a newline if `stop_at_newline`.
  virtual Generation generate(int max_tokens, bool stop_at_newline) = 0;
  virtual CacheUsage usage() const = 0;
  /// What every (layer, KV head) holds now, by layer, then head; empty if the host cannot tell.
  virtual std::vector<HeadContent> content() const { return {}; }
  /// Logits of the next token, [vocabulary], behind what was evaluated last; empty if the host does not give any.
  virtual std::span<const float> logits() const { return {}; }
  /// Takes back what was evaluated behind the first `tokens` tokens, where the next token's logits were `logits`, to go on from
  /// there with at most `more` tokens. False where that would not be as if they had never been: an update has happened since, or
  /// would within `more`, or the host cannot; what it holds is then undefined until the next reset.
  virtual bool rewind(std::size_t /*tokens*/, std::span<const float> /*logits*/, std::size_t /*more*/) { return false; }
  /// What the sequence holds now. Null if the host cannot.
  virtual std::shared_ptr<const Snapshot> snapshot() { return nullptr; }
  /// Forgets the sequence and goes on from the snapshot, without a policy; of the named heads only the tokens at these positions
  /// (ascending) are left. Throws std::invalid_argument if it is not a snapshot of such a host.
  virtual void branch(const Snapshot& from, std::span<const HeadContent> kept);
  /// For each of several branches of a snapshot (branch(); all heads with all tokens where none are named) the natural
  /// log-probability of each token of `answer` behind `question`, which may be empty. A host may read the branches side by side;
  /// then values differ from branch() in their last digits. What it holds afterwards is undefined until the next reset or branch.
  virtual std::vector<std::vector<double>> branch_log_likelihoods(const Snapshot& from,
                                                                  std::span<const std::vector<HeadContent>> branches,
                                                                  std::span<const Token> question, std::span<const Token> answer);
};

}  // namespace namm
