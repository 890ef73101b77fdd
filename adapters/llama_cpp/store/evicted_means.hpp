#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ragged_attention.hpp"

namespace namm {
class ByteReader;
class ByteWriter;
}  // namespace namm

namespace namm::llama {

/// What the evicted tokens of a head leave behind: at most `limit` entries, each the mean key and the mean value of some of them,
/// seen by every query with the log of their number added to its logit. Where the tokens of a mean were alike, attention is what
/// it was with all of them; a head that attends evenly loses nothing. Tokens are shared out by their keys (k-means), as they are
/// held: behind the rotary embedding and, of 4 bits, rotated.
class EvictedMeans {
 public:
  static constexpr int kMost = 16;
  explicit EvictedMeans(std::size_t limit = 0) : limit_(limit) {}

  /// Takes up the entries of a head with these indices; those whose numbers are not all finite are left out. Deterministic.
  /// Where memory is refused nothing has changed.
  void absorb(const kernels::RaggedHead& head, std::span<const std::int32_t> evicted);
  /// The means as one more part of a tile's attention, for merge_parts(): no weights are kept.
  /// The caller provides the memory of `part`, as for attend_part().
  void attend(const kernels::RaggedHead& head, const kernels::QueryTile& tile, kernels::AttentionPart& part) const;

  std::size_t limit() const { return limit_; }
  std::size_t size() const { return counts_.size(); }
  std::int64_t tokens() const;  ///< that they stand for
  std::size_t bytes() const { return 2 * (keys_.size() + values_.size()) + sizeof(std::uint32_t) * counts_.size(); }

  /// For saved sessions. Throws std::runtime_error if it is not what save() wrote for such a head: nothing read is trusted.
  void save(ByteWriter& out) const;
  void restore(ByteReader& in, std::size_t key_size, std::size_t value_size);

 private:
  std::size_t limit_;
  std::vector<std::uint16_t> keys_, values_;  // F16 [mean][size]
  std::vector<std::uint32_t> counts_;
};

}  // namespace namm::llama
