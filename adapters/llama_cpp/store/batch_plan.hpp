#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace namm::llama {

/// The attention mask of one stream as the runtime built it: F16, 0 where query q sees cell c, -inf where not.
struct MaskView {
  const std::uint16_t* data = nullptr;
  std::size_t stride = 0;  ///< halves between queries
  std::size_t cells = 0;   ///< columns
  const std::uint16_t* row(std::size_t query) const { return data + query * stride; }
  static bool sees(std::uint16_t half) { return half != 0xfc00u; }
};

/// What the store knows about each cell of one stream of the runtime's cache: whose token it holds. The runtime does not tell; it
/// follows from the masks that it sends.
struct CellMap {
  static constexpr std::int32_t kNobody = -1;
  std::vector<std::int32_t> owner;     ///< [cell] sequence number, or kNobody
  std::vector<std::int32_t> position;  ///< [cell] of the owner's token
  std::vector<std::int32_t> newest;    ///< [sequence] newest position so far, -1 = none yet
  std::vector<std::int32_t> held;      ///< [sequence] cells it owns
  /// Sequences with branches: the runtime copied them, and the copies share their list.
  std::set<std::int32_t> branched;
  /// Copies are announced by `branched`. Then cells of any other sequence behind the newest one that a query sees were removed by
  /// the runtime (it cut the end off), and the sequence goes on from there. Else they may be another branch's.
  bool cuts = false;
  /// (sequence, its newest position before the runtime's batch) of those that the batch went on with: what it has added since
  /// cannot have been cut. Cleared where a batch begins.
  std::vector<std::pair<std::int32_t, std::int32_t>> before;
  void grow(std::size_t cells);
  void give(std::size_t cell, std::int32_t sequence, std::int32_t at);  ///< a free cell
  void take(std::size_t cell);                                          ///< back from its owner
};

/// Positions of tokens, first .. last.
struct PositionRange {
  std::int32_t first = 0, last = 0;
};

/// Queries of one sequence in a batch, in order, and who sees what. `first` and `last` are indexed by cell and count in the
/// group's own queries (kernels::RaggedHead).
struct QueryGroup {
  std::int32_t sequence = 0;
  std::vector<std::int32_t> queries;  ///< indices in the stream's batch
  std::vector<std::int32_t> cells;    ///< the cell each query's own token is written to
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> first, last;
  std::int32_t seen = 0;  ///< cells that the last query sees
  /// Where the queries are in the runtime's own counting, in which branches have positions of their own: a query sees all before
  /// it, in a cache that is no window.
  std::vector<PositionRange> places;
  std::vector<std::uint8_t> dense;  ///< [query][mask.cells] if some cell is not seen in one interval of queries, else empty
};

struct BatchPlan {
  std::vector<std::pair<std::int32_t, std::int32_t>> reused;  ///< (former owner, cell): entries to drop, written again or removed
  std::vector<QueryGroup> groups;
};

/// Plans one stream's share of a batch: query i writes cell `written[i]` and sees what mask row i says. Updates `cells`.
/// Sequences: queries that see each other, or cells of the same earlier sequence, belong together; branches of a copied sequence
/// stay in one group and the mask separates them. A token's position is one more than the newest of its sequence.
/// Cost: one comparison of neighbouring mask rows per query in the causal case.
/// Throws std::runtime_error if a query sees tokens of several sequences, which were never one, or cells that nobody has: of
/// tokens that the store never read, or that it took back.
BatchPlan plan_batch(const MaskView& mask, std::span<const std::int32_t> written, CellMap& cells);

}  // namespace namm::llama
