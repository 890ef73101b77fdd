// LlamaHost's snapshots: the runtime's own state (cells, recurrent layers) beside the store's lists.
#include <llama.h>

#include <stdexcept>

#include "adapters/llama_cpp/llama_host.hpp"
#include "adapters/llama_cpp/page_buffer.hpp"
#include "adapters/llama_cpp/row_trace.hpp"

namespace namm::llama {
namespace {

struct HostSnapshot final : Snapshot {
  std::size_t bytes() const override { return CacheStore::kv_bytes(*store) + logits.size() * sizeof(float); }
  PageBuffer state;  // as long as a full cache, of which rows are never touched: they cost no memory
  std::size_t state_bytes = 0;
  std::shared_ptr<const SavedStore> store;
  int position = 0;
  std::vector<float> logits;
};

}  // namespace

std::shared_ptr<const Snapshot> LlamaHost::snapshot() {
  if (!store_) return nullptr;
  auto out = std::make_shared<HostSnapshot>();
  out->state.resize(llama_state_seq_get_size(context_, 0));
  RowTrace rows;
  out->state_bytes =
      llama_state_seq_get_data(context_, reinterpret_cast<std::uint8_t*>(out->state.data()), out->state.mapped(), 0);
  if (out->state_bytes == 0) throw std::runtime_error("snapshot: llama.cpp must give its state, gave none");
  out->store = store_->capture(rows.rows());
  out->position = position_;
  out->logits = logits_;
  return out;
}

void LlamaHost::branch(const Snapshot& from, std::span<const HeadContent> kept) {
  const auto* const snapshot = dynamic_cast<const HostSnapshot*>(&from);
  if (!store_ || snapshot == nullptr)
    throw std::invalid_argument("snapshot: must be one of a llama.cpp host attached by the backend, is another's");
  reset({});
  RowTrace rows;
  const std::size_t read =
      llama_state_seq_set_data(context_, reinterpret_cast<const std::uint8_t*>(snapshot->state.data()), snapshot->state_bytes, 0);
  if (read != snapshot->state_bytes)
    throw std::runtime_error("snapshot: llama.cpp must take its state back, refused it; enlarge the context (--context)");
  store_->install(CacheStore::branch(*snapshot->store, kept), rows.rows());
  position_ = snapshot->position;
  logits_ = snapshot->logits;
}

}  // namespace namm::llama
