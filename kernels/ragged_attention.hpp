#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/row_format.hpp"

namespace namm::kernels {

constexpr std::size_t padded_value_size(std::size_t value_size) {
  return (value_size + 15) / 16 * 16;
}

/// `first` of an entry that no query sees; its `last` is -1.
inline constexpr std::int32_t kNever = 0x7fffffff;

/// Which queries of the batch see the entries of one block.
struct BlockVisibility {
  std::int32_t first_min, first_max, last_min, last_max;
};

/// The cached entries of one (layer, KV head): a list of any length in any cell order.
///
///   keys    F16  [block][key_size][64]    numbers of the last block behind `count` may be anything finite
///   values  F16  [count][value_size]      of other formats the pointers are those of the first block (row_format.hpp)
///   first, last  [blocks * 64]            query q (index in the sequence's batch) sees entry e if first[e] <= q <= last[e];
///                                         entries visible to none, and those behind `count`, have first = kNever, last = -1
struct RaggedHead {
  const std::uint16_t* keys = nullptr;
  const std::uint16_t* values = nullptr;
  std::size_t count = 0;
  std::size_t key_size = 0;
  std::size_t value_size = 0;
  const std::int32_t* first = nullptr;
  const std::int32_t* last = nullptr;
  const BlockVisibility* blocks = nullptr;
  /// Overrides first and last when visibility is not an interval: [query][blocks * 64], 1 = visible. Else null.
  const std::uint8_t* dense = nullptr;
  /// Some value may be NaN or infinite: it must not reach those who do not see it, as 0 * infinity would. Costs speed.
  bool values_overflow = false;
  RowFormat key_format = RowFormat::f16, value_format = RowFormat::f16;
};

/// One number of a head, as attention sees it.
float key_number(const RaggedHead& head, std::size_t entry, std::size_t d);
float value_number(const RaggedHead& head, std::size_t entry, std::size_t n);

/// Queries first_query .. first_query + queries - 1, each with the `group` query heads that share the KV head.
/// rows [queries * group][key_size], row = query * group + head, already multiplied by the attention scale.
struct QueryTile {
  const float* rows = nullptr;
  int first_query = 0;
  int queries = 0;
  int group = 1;
  float softcap = 0;  ///< logits become softcap * tanh(logit / softcap); 0 = off
};

/// Softmax attention of a tile over the blocks [block_begin, block_end) of a head, not yet normalised. Parts of one head are
/// joined by merge_parts(), in order, so the split and not the number of threads decides the rounding.
/// The caller provides the memory: active [block_end - block_begin], weights [rows][64 * (block_end - block_begin)], or
/// [rows][64] if they are not kept, maximum, sum [rows], output [rows][padded_value_size].
struct AttentionPart {
  /// True if merge_parts() is to give probabilities. Else the softmax is online: a block's weights are forgotten when its values
  /// are added, and memory does not grow with the list.
  bool keep_weights = true;
  std::size_t block_begin = 0;
  std::size_t block_end = 0;
  std::int32_t* active = nullptr;  ///< out: blocks that some query of the tile sees
  std::size_t active_count = 0;    ///< out
  float* weights = nullptr;        ///< out if kept: exp(logit - maximum), [row][64 * i + e] for the i-th active block
  float* maximum = nullptr;        ///< out: largest logit of the row, -inf if it sees nothing
  float* sum = nullptr;            ///< out: sum of the row's weights
  float* output = nullptr;         ///< out: sum of weight * value
};

/// Up to so many rows of a tile a block is converted as it is multiplied, above once for all of them.
inline constexpr std::size_t kRowsTogether = 6;

/// Floats of scratch that attend_part needs for one thread.
std::size_t attention_scratch(std::size_t key_size, std::size_t value_size);

void attend_part(const RaggedHead& head, const QueryTile& tile, AttentionPart& part, float* scratch);

/// Joins the parts of one (head, tile). output: row r goes to outputs[r] (value_size numbers). A row that sees nothing gives
/// zeros. sinks: one logit per query head of the group, or null (a sink takes probability and gives no value). group_mean: if not
/// null, [queries][stride] gets the probabilities averaged over the group, zeros where invisible; columns [0, head.count) are
/// written.
void merge_parts(const RaggedHead& head, const QueryTile& tile, const AttentionPart* parts, std::size_t part_count,
                 const float* sinks, float* const* outputs, float* group_mean, std::size_t stride);

/// Scalar twins of the two functions above, always built: the readable definition, and what tests compare with.
namespace scalar {
void attend_part(const RaggedHead& head, const QueryTile& tile, AttentionPart& part, float* scratch);
void merge_parts(const RaggedHead& head, const QueryTile& tile, const AttentionPart* parts, std::size_t part_count,
                 const float* sinks, float* const* outputs, float* group_mean, std::size_t stride);
/// False if a row sees nothing. A logit of NaN may leave the row's maximum as it was, at -inf: its sum tells.
bool sees_something(const AttentionPart* parts, std::size_t part_count, int row, float maximum);
}  // namespace scalar

}  // namespace namm::kernels
