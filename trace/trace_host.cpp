#include "trace/trace_host.hpp"

#include <charconv>
#include <stdexcept>

namespace namm::trace {
namespace {

[[noreturn]] void no_model(const char* what) {
  throw std::runtime_error(std::string("trace: ").append(what).append(
      " need a model, a trace has none; use --fitness retention, or leave out --traces"));
}

}  // namespace

std::vector<Token> TraceHost::tokenize(std::string_view text, bool) const {
  if (text.empty()) return {};
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number >= trace_->prompts().size())
    throw std::invalid_argument("trace: a text must be the number of one of its " + std::to_string(trace_->prompts().size()) +
                                " prompts, is '" + std::string(text.substr(0, 40)) + "'; use the tasks of the trace");
  return {static_cast<Token>(number)};
}

std::string TraceHost::detokenize(std::span<const Token> tokens) const {
  std::string out;
  for (const Token token : tokens) out += trace_->prompts().at(static_cast<std::size_t>(token)).facts.id;
  return out;
}

void TraceHost::reset(const CachePolicy& memory) {
  replay_.reset();
  prompt_ = nullptr;
  memory_ = memory;
}

void TraceHost::evaluate(std::span<const Token> tokens) {
  if (tokens.size() != 1 || prompt_ != nullptr) throw std::invalid_argument("trace: one prompt at a time can be replayed");
  prompt_ = &trace_->prompts().at(static_cast<std::size_t>(tokens.front()));
  replay_.emplace(trace_->settings(), *prompt_, memory_, contents_.of(*prompt_, memory_));
  replay_->advance();
}

void TraceHost::update() {
  if (replay_) replay_->update();
}

std::vector<double> TraceHost::log_likelihood(std::span<const Token>) {
  no_model("likelihoods");
}

Generation TraceHost::generate(int, bool) {
  no_model("answers");
}

CacheUsage TraceHost::usage() const {
  CacheUsage out;
  if (!replay_) return out;
  out.tokens_seen = static_cast<std::int64_t>(prompt_->facts.compressed.size());
  out.entries_full = out.tokens_seen * static_cast<std::int64_t>(trace_->settings().heads());
  for (const auto& kept : replay_->kept()) out.entries += static_cast<std::int64_t>(kept.size());
  out.updates = replay_->updates();
  out.nan_scores = replay_->nan_scores();
  return out;
}

std::vector<HeadContent> TraceHost::content() const {
  return replay_ ? replay_->content() : std::vector<HeadContent>{};
}

const PromptRecord& TraceHost::prompt() const {
  if (prompt_ == nullptr) throw std::logic_error("trace: no prompt was replayed");
  return *prompt_;
}

const Replay& TraceHost::replay() const {
  if (!replay_) throw std::logic_error("trace: no prompt was replayed");
  return *replay_;
}

}  // namespace namm::trace
