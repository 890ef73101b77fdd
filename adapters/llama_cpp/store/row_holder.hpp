#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapters/llama_cpp/store/row_slots.hpp"
#include "namm/cache_policy.hpp"

namespace namm::llama {

/// Who holds keys and values of a store where its lists do not: a device. Lists then have slots in place of rows, the store says
/// which entries there are, and the holder writes, attends and moves. Called by whoever calls the store.
class RowHolder {
 public:
  virtual ~RowHolder() = default;
  /// What the policy reads that the holder cannot give; empty if it can give everything.
  virtual std::string beyond_devices(const CachePolicy& policy) const = 0;
  /// Those of one head. Throws std::logic_error if the layer is not held.
  virtual std::shared_ptr<RowSlots> slots(int layer, int kv_head) = 0;
  /// Entries have gone: rows are moved together where that frees memory, and the memory is freed.
  virtual void tidy() = 0;
  /// Euclidean norms of keys or values, [KV head][slot], 0 for free slots.
  virtual std::vector<std::vector<float>> norms(int layer, bool values) = 0;
  /// From now on, until it is told again, what this reader reads of tokens goes with their rows; null: nothing. The store is
  /// empty, and the reader outlives it or the next call.
  virtual void read_with(const ContentReader* reader) = 0;
  /// What was read, [KV head][slot]; anything for free slots.
  virtual std::vector<std::vector<float>> contents(int layer) = 0;
  /// For saved sessions. Bytes of one row: its key, its value, and what was read of its token.
  virtual std::size_t row_bytes(int layer) const = 0;
  /// What rows are held as: "f16", "q8_0 and f16".
  virtual std::string row_types() const = 0;
  /// Whether such rows have nothing but finite numbers.
  virtual bool are_finite(int layer, std::span<const std::byte> rows) const = 0;
  /// Rows of a head, one behind the other.
  virtual std::vector<std::byte> read_rows(int layer, int kv_head, std::span<const std::int32_t> slots) = 0;
  /// Puts them into slots that lists have taken. Throws std::runtime_error if there is no memory for them.
  virtual void write_rows(int layer, int kv_head, std::span<const std::int32_t> slots, std::span<const std::byte> rows) = 0;
  /// Memory held for keys and values, and for everything else. While rows are moved there is more: CacheStore::note_peak().
  virtual std::int64_t kv_bytes() const = 0;
  virtual std::int64_t other_bytes() const = 0;
};

/// What a policy's statistics want of the attention of the part of a batch that was placed last, in one layer.
struct WantedAttention {
  bool sums = false;                  ///< over all queries
  std::vector<std::int32_t> queries;  ///< rows of these, by their index in the part, ascending
  /// Of some sequences: the queries of whole hops, 16 each, whose frames are wanted (ObservedPart::frames), ascending.
  std::vector<std::vector<std::int32_t>> hops;
  double decay = 0;  ///< of an EMA of frames
  bool nothing() const { return !sums && queries.empty(); }
};

/// That attention, as a holder gives it back: probabilities summed over the query heads of a KV head's group.
struct SlotAttention {
  std::size_t slots = 0;                       ///< columns
  int group = 1;                               ///< query heads of a KV head
  std::span<const float> sums;                 ///< [KV head][slot]
  std::span<const float> rows;                 ///< [KV head][query that is wanted][slot]
  std::vector<std::span<const float>> frames;  ///< of each sequence whose hops are wanted: [KV head][slot][17]
};

/// Why a policy cannot decide about rows that are held elsewhere; empty if it can: it reads nothing but who the tokens are, the
/// sizes of their keys and values, what a probe (core/probe) says of them, and statistics of attention.
std::string why_not_held_elsewhere(const CachePolicy& policy);

}  // namespace namm::llama
