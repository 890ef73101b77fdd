#pragma once
#include <cstdint>
#include <vector>

namespace namm {

/// One layer that has a KV cache.
struct LayerDescription {
  int layer = 0;  ///< index in the model
  int kv_heads = 0;
  int key_size = 0;  ///< numbers per key and head
  int value_size = 0;
  int window = 0;  ///< sliding window in tokens; 0 = global
};

/// What a cache holds, measured where it is held.
struct CacheUsage {
  std::int64_t tokens_seen = 0;
  std::int64_t entries = 0;  ///< (layer, KV head, token) entries held now
  std::int64_t entries_peak = 0;
  std::int64_t entries_full = 0;  ///< what a full cache would hold now
  std::int64_t kv_bytes = 0;      ///< memory held for keys and values now, rounded to what the system hands out
  std::int64_t kv_bytes_peak = 0;
  std::int64_t kv_bytes_full = 0;
  std::int64_t statistics_bytes = 0;  ///< memory held for statistics and bookkeeping now
  std::int64_t statistics_bytes_peak = 0;
  std::int64_t updates = 0;
  std::int64_t nan_scores = 0;
  /// Of a cache that the runtime holds itself (0 where it does not): cells in use now, at most, and allocated. A cell holds one
  /// entry of every head; what is not in use is the runtime's to use again, and is no memory of anybody else's.
  std::int64_t cells = 0, cells_peak = 0, cells_allocated = 0;
  double logical_saving() const;   ///< 1 - entries / entries_full
  double physical_saving() const;  ///< 1 - (kv_bytes + statistics_bytes) / kv_bytes_full
};

/// The tokens that one (layer, KV head) holds.
struct HeadContent {
  int layer = 0;
  int kv_head = 0;
  std::vector<std::int32_t> positions;  ///< in the sequence, ascending
};

}  // namespace namm
