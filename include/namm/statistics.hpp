#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace namm {

/// What can be known about a cached token. A policy names what it reads; nothing else is computed.
enum class Statistic : std::uint32_t {
  spectrogram = 1u << 0,   ///< EMA of the short-time Fourier magnitudes of the attention received (arXiv 2410.13166)
  accumulated = 1u << 1,   ///< sum over queries of the attention received (H2O, arXiv 2306.14048)
  queries_seen = 1u << 2,  ///< number of queries that could see the token
  last_row = 1u << 3,      ///< attention received from the newest query (TOVA, arXiv 2401.06104)
  window_mean = 1u << 4,   ///< mean attention received from the newest queries (SnapKV, arXiv 2404.14469)
  key_norm = 1u << 5,      ///< Euclidean norm of the key
  value_norm = 1u << 6,    ///< Euclidean norm of the value
  content = 1u << 7,       ///< what the policy's ContentReader read from the token's key and value when it entered the cache
};

/// A set of statistics.
class StatisticSet {
 public:
  constexpr StatisticSet() = default;
  constexpr StatisticSet(Statistic one) : bits_(static_cast<std::uint32_t>(one)) {}
  constexpr bool has(Statistic one) const { return (bits_ & static_cast<std::uint32_t>(one)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  /// True if any member is computed from attention probabilities.
  constexpr bool reads_attention() const {
    return has(Statistic::spectrogram) || has(Statistic::accumulated) || has(Statistic::last_row) || has(Statistic::window_mean);
  }
  constexpr StatisticSet without(StatisticSet others) const {
    StatisticSet out;
    out.bits_ = bits_ & ~others.bits_;
    return out;
  }
  constexpr friend StatisticSet operator|(StatisticSet a, StatisticSet b) {
    StatisticSet out;
    out.bits_ = a.bits_ | b.bits_;
    return out;
  }
  constexpr friend bool operator==(StatisticSet, StatisticSet) = default;

 private:
  std::uint32_t bits_ = 0;
};

constexpr StatisticSet operator|(Statistic a, Statistic b) {
  return StatisticSet(a) | StatisticSet(b);
}

class ByteReader;
class ByteWriter;

/// Constants of the spectrogram (arXiv 2410.13166, section 3 and appendix; spec sections 1 and 2).
struct SpectrogramSettings {
  int fft_size = 32;    ///< n_fft: window length in queries; only 32 is supported by the kernels
  int hop = 16;         ///< queries between frames; only fft_size / 2 is supported
  float decay = 0.99f;  ///< γ per query; the EMA uses γ^hop per frame
  /// γ^hop, what is left of the EMA after a frame.
  float decay_per_frame() const;
  friend bool operator==(const SpectrogramSettings&, const SpectrogramSettings&) = default;
};

inline constexpr int kBins = 17;  ///< one-sided bins of a 32-point transform
inline constexpr int kHop = 16;   ///< queries per frame

struct StatisticsSettings {
  StatisticSet needed;
  SpectrogramSettings spectrogram;
  int window_queries = 32;  ///< queries that window_mean averages over (SnapKV's observation window)
};

/// Read-only view of the cached tokens of one (layer, KV head), in position order. Spans that were not asked for are empty,
/// all others have size() entries (spectrogram: size() × 17, row-major [token][bin]).
struct HeadTokens {
  int layer = 0;                            ///< index of the layer in the model
  int kv_head = 0;                          ///< index of the KV head in its layer
  std::int64_t tokens_seen = 0;             ///< tokens of the sequence so far, evicted ones included
  std::span<const std::int32_t> positions;  ///< ascending
  std::span<const float> spectrogram;
  std::span<const float> accumulated;
  std::span<const float> queries_seen;  ///< as float: counts below 2^24
  std::span<const float> last_row;
  std::span<const float> window_mean;
  std::span<const float> key_norm;
  std::span<const float> value_norm;
  std::span<const float> content;
  std::size_t size() const { return positions.size(); }
};

/// Which rows of attention statistics are told by where most rows are elsewhere, in the memory of a device:
///
///     | first          | from hops_from on: 16 * hops rows          | newest         |
///     | oldest rows    :  their frames, the first hop left out      : newest rows    |
///
/// first and newest reach into the first and the last hop. hops = 0: no frames are wanted.
struct RowsAtHand {
  int first = 0, newest = 0;
  int hops = 0, hops_from = 0;
};

/// Attention of `rows` consecutive queries of one head, as RowsAtHand says.
struct ObservedPart {
  int rows = 0;
  std::span<const float> sums;     ///< [token] over all rows
  std::span<const float> at_hand;  ///< [first + newest][stride]
  std::size_t stride = 0;          ///< at least the number of tokens
  /// [token][17]: sum over the frames j = 1 .. n of n + 1 whole hops (frame j: hops j - 1 and j) of (1 - γ_h) γ_h^(n - j)
  /// |DFT_j|, which is what an EMA of 0 would be after them; γ_h: SpectrogramSettings::decay_per_frame().
  std::span<const float> frames;
};

/// Statistics of the cached tokens of one (layer, KV head): the state that is carried from query to query and gathered with
/// the cache. Streaming form of spec sections 1 and 2: the EMA advances whenever `hop` queries are complete, which gives the
/// reference's numbers at every update point (γ_h^T = γ^Q; rows that a token did not exist for count as zeros).
///
///     append(new tokens) -> observe(rows of attention) -> ... -> view() -> keep(indices)
class HeadStatistics {
 public:
  explicit HeadStatistics(const StatisticsSettings& settings);

  /// Adds tokens behind the existing ones. `positions` ascending and above all present ones; norms and content are read only if
  /// they are needed (else may be empty). Throws std::invalid_argument on a size mismatch; if it throws nothing has changed.
  void append(std::span<const std::int32_t> positions, std::span<const float> key_norms, std::span<const float> value_norms,
              std::span<const float> content = {});

  /// Attention of `rows` consecutive queries, `attention[row * stride + token]`: probabilities averaged over the query heads of
  /// the group, size() tokens a row, zeros where a query cannot see a token. `first_position` is the position of the first row's
  /// query; the tokens of the rows must have been appended before. Any number of rows, any split into calls: same result, bit for
  /// bit. The spectrogram advances when the number of rows since the sequence began reaches a multiple of 16; rows beyond wait.
  /// window_mean divides by window_queries, or by the rows so far if fewer. queries_seen needs no rows: append() counts.
  /// Throws std::invalid_argument if the span is too short or a row's token is not there; if it throws nothing has changed.
  void observe(std::span<const float> attention, int rows, std::size_t stride, std::int32_t first_position);

  /// Which rows observe_part() wants of `rows` queries that are next; the sums beside them if `accumulated` is needed.
  RowsAtHand rows_wanted(int rows) const;
  /// observe() where most rows are elsewhere: the same to rounding. Throws std::invalid_argument, and changes nothing, if
  /// something of what rows_wanted() says is missing.
  void observe_part(const ObservedPart& part);
  /// Rows that the next frame of the spectrogram waits with, 0..15.
  int waiting_rows() const { return static_cast<int>(pending_.size()); }

  /// The newest `count` tokens were never appended. No row may have been observed since they were: rows cannot be taken back.
  /// Throws std::invalid_argument if there are fewer tokens, and nothing else: it needs no memory.
  void take_back(std::size_t count);

  /// Keeps the tokens with these ascending indices, forgets the others. Throws std::invalid_argument alone, if they are others.
  void keep(std::span<const std::int32_t> kept);

  /// The whole state, for statistics with the same settings. What comes back goes on bit for bit.
  void save(ByteWriter& out) const;
  /// Throws std::runtime_error, and changes nothing, if it is not what save() wrote: nothing read is trusted.
  void restore(ByteReader& in);

  std::size_t size() const { return positions_.size(); }
  /// Bytes of memory held (capacity, not size).
  std::size_t bytes() const;
  /// Spans stay valid until the next non-const call. layer, kv_head and tokens_seen are left for the caller.
  HeadTokens view() const;
  const StatisticsSettings& settings() const { return settings_; }

 private:
  void observe_spectrogram(const float* attention, int rows, std::size_t stride);
  void observe_frames(const ObservedPart& part, const RowsAtHand& rows);
  void observe_sums(const float* attention, int rows, std::size_t stride);
  void observe_window(const float* attention, int rows, std::size_t stride);

  // Memory per token, in bytes; only what is needed exists:
  //   positions 4; spectrogram 68 + 64 for the left context + 4 for each row of the incomplete hop (0..15);
  //   accumulated, queries_seen, last_row, key_norm, value_norm, content 4 each; window_mean 8 + 4 * window_queries.
  StatisticsSettings settings_;
  std::vector<std::int32_t> positions_;
  std::vector<float> spectrogram_;  // [token][17] EMA
  std::vector<std::vector<float>>
      left_context_;                         // the 16 rows before the incomplete hop, oldest first; empty before the first frame
  std::vector<std::vector<float>> pending_;  // rows of the incomplete hop, 0..15. Rows end where their tokens ended: then zeros
  std::vector<float> accumulated_, queries_seen_, last_row_, window_mean_, key_norm_, value_norm_, content_;
  std::vector<float> window_ring_;  // [token][window_queries], see window.cpp
  std::vector<float> window_running_;
  int window_slot_ = 0;    // next slot of the ring
  int window_filled_ = 0;  // rows seen, at most window_queries
};

}  // namespace namm
