#pragma once
#include <span>
#include <vector>

#include "adapters/llama_cpp/context/create.hpp"
#include "adapters/llama_cpp/host/host_snapshot.hpp"
#include "adapters/llama_cpp/host/llama_model.hpp"

namespace namm::llama {

struct LlamaHostSettings;

/// Reads one text behind several branches of a snapshot at once: sequences of one context. A short text is mostly the reading of
/// the weights, which all branches share then.
class TailBatch {
 public:
  /// Branches at a time, at most.
  static constexpr std::size_t kMost = 8;
  /// How many of them this model and these settings allow; 1: branches must be read one after the other.
  static std::size_t most(const LlamaModel& model, const LlamaHostSettings& settings);

  /// Throws std::runtime_error if the runtime cannot create the context.
  TailBatch(const LlamaModel& model, const LlamaHostSettings& settings);

  /// As Host::branch_log_likelihoods, at most most() branches.
  std::vector<std::vector<double>> log_likelihoods(const HostSnapshot& from, std::span<const std::vector<HeadContent>> branches,
                                                   std::span<const Token> question, std::span<const Token> answer);

 private:
  void clear();

  ContextPointer context_;
  CacheStore* store_ = nullptr;
  int context_tokens_ = 0, chunk_tokens_ = 0, vocabulary_ = 0;
};

}  // namespace namm::llama
