#include "adapters/llama_cpp/host/host_snapshot.hpp"

#include <llama.h>

#include <algorithm>
#include <stdexcept>

#include "adapters/llama_cpp/backend/row_trace.hpp"
#include "adapters/llama_cpp/host/llama_host.hpp"
#include "adapters/llama_cpp/host/tail_batch.hpp"

namespace namm::llama {
namespace {

/// `store`: of the host that is to go on from it; null if the backend does not hold its cache.
const HostSnapshot& of_a_host(const Snapshot& from, const CacheStore* store) {
  const auto* const snapshot = dynamic_cast<const HostSnapshot*>(&from);
  if (store == nullptr || snapshot == nullptr)
    throw std::invalid_argument(
        "snapshot: must be one of a llama.cpp host attached by the backend, and gone on from by such a host; use its own host");
  return *snapshot;
}

}  // namespace

void install(const HostSnapshot& from, std::span<const HeadContent> kept, llama_context* context, CacheStore& store,
             int sequence) {
  RowTrace rows;
  const std::size_t read =
      llama_state_seq_set_data(context, reinterpret_cast<const std::uint8_t*>(from.state.data()), from.state_bytes, sequence);
  if (read != from.state_bytes)
    throw std::runtime_error("snapshot: llama.cpp must take its state back, refused it: " + last_llama_error() +
                             "; use a larger --context");
  store.install(CacheStore::branch(*from.store, kept), rows.rows());
}

std::shared_ptr<const Snapshot> LlamaHost::snapshot() {
  if (!store_) return nullptr;
  auto out = std::make_shared<HostSnapshot>();
  out->state.resize(llama_state_seq_get_size(context(), 0));
  RowTrace rows;
  out->state_bytes =
      llama_state_seq_get_data(context(), reinterpret_cast<std::uint8_t*>(out->state.data()), out->state.mapped(), 0);
  if (out->state_bytes == 0) throw std::runtime_error("snapshot: llama.cpp must give its state, gave none");
  out->touched_bytes = out->state_bytes;
  for (const auto& row : rows.copies()) out->touched_bytes -= row.size();
  out->store = store_->capture(rows.rows());
  out->position = position_;
  out->logits = logits_;
  return out;
}

void LlamaHost::branch(const Snapshot& from, std::span<const HeadContent> kept) {
  const HostSnapshot& snapshot = of_a_host(from, store_);
  reset({});
  install(snapshot, kept, context(), *store_, 0);
  position_ = snapshot.position;
  logits_ = snapshot.logits;
}

std::vector<std::vector<double>> LlamaHost::branch_log_likelihoods(const Snapshot& from,
                                                                   std::span<const std::vector<HeadContent>> branches,
                                                                   std::span<const Token> question,
                                                                   std::span<const Token> answer) {
  const HostSnapshot& snapshot = of_a_host(from, store_);
  const std::size_t most = TailBatch::most(*model_, settings_);
  if (most == 1) return Host::branch_log_likelihoods(from, branches, question, answer);
  if (!tails_) tails_ = std::make_unique<TailBatch>(*model_, settings_);
  std::vector<std::vector<double>> out;
  while (out.size() < branches.size()) {
    const auto some = branches.subspan(out.size(), std::min(branches.size() - out.size(), most));
    for (std::vector<double>& nats : tails_->log_likelihoods(snapshot, some, question, answer)) out.push_back(std::move(nats));
  }
  return out;
}

}  // namespace namm::llama
