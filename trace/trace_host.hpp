#pragma once
#include <memory>
#include <optional>

#include "trace/reader.hpp"
#include "trace/replay.hpp"

namespace namm::trace {

/// Replays a memory on the prompts of a trace, without a model. Its vocabulary is its prompts: the text of a prompt is its number
/// in the trace and becomes one token, and evaluating that token plays the whole of its compressed part. It can tell what is
/// kept, and neither likelihoods nor texts.
class TraceHost final : public Host {
 public:
  explicit TraceHost(std::shared_ptr<const Reader> trace) : trace_(std::move(trace)) {}

  const HostDescription& description() const override { return trace_->settings().host; }
  /// Throws std::invalid_argument unless the text is empty or the number of a prompt.
  std::vector<Token> tokenize(std::string_view text, bool add_special) const override;
  /// The prompts' names.
  std::string detokenize(std::span<const Token> tokens) const override;
  ChatTemplate chat_template() const override { return {}; }
  void reset(const CachePolicy& memory) override;
  /// One token behind a reset. Throws as Replay's constructor.
  void evaluate(std::span<const Token> tokens) override;
  void update() override;
  /// Throw std::runtime_error: there is no model.
  std::vector<double> log_likelihood(std::span<const Token> tokens) override;
  Generation generate(int max_tokens, bool stop_at_newline) override;
  /// Entries only; no bytes.
  CacheUsage usage() const override;
  std::vector<HeadContent> content() const override;

  const Reader& trace() const { return *trace_; }
  /// Of the prompt evaluated last. Throws std::logic_error if there is none.
  const PromptRecord& prompt() const;
  const Replay& replay() const;

 private:
  std::shared_ptr<const Reader> trace_;
  ContentMemory contents_;
  CachePolicy memory_;
  const PromptRecord* prompt_ = nullptr;
  std::optional<Replay> replay_;
};

}  // namespace namm::trace
