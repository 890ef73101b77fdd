#pragma once
#include <memory>
#include <vector>

#include "adapters/llama_cpp/store/cache_store.hpp"
#include "adapters/llama_cpp/store/page_buffer.hpp"
#include "host/host.hpp"

struct llama_context;

namespace namm::llama {

/// A LlamaHost's snapshot: the runtime's own state (cells, recurrent layers) beside the store's lists.
struct HostSnapshot final : Snapshot {
  std::size_t bytes() const override { return CacheStore::kv_bytes(*store) + touched_bytes + logits.size() * sizeof(float); }
  PageBuffer state;  // as long as a full cache, of which rows are never touched: they cost no memory
  std::size_t state_bytes = 0;
  std::size_t touched_bytes = 0;  // of the state: cells, recurrent layers
  std::shared_ptr<const SavedStore> store;
  int position = 0;
  std::vector<float> logits;
};

/// Makes it what `sequence` of the context holds, of the named heads only the tokens at these positions. Throws
/// std::runtime_error if the runtime refuses it.
void install(const HostSnapshot& from, std::span<const HeadContent> kept, llama_context* context, CacheStore& store,
             int sequence);

}  // namespace namm::llama
