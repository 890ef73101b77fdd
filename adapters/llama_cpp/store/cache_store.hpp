#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/store/batch_plan.hpp"
#include "adapters/llama_cpp/store/head_list.hpp"
#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm::llama {

struct SavedStore;
struct OpenPart;
class RowHolder;
struct SlotAttention;
struct WantedAttention;

/// Shape of one layer's cache.
struct LayerShape {
  int layer = 0;
  int kv_heads = 0;
  std::size_t key_size = 0;
  std::size_t value_size = 0;
  double key_bytes = 2, value_bytes = 2;  ///< per number in the runtime's own cache: what a full cache would cost
  bool elsewhere = false;                 ///< rows are with the store's holder (hold_elsewhere)
};

/// Where one attention node reads and writes. Query and output rows are float, query i of stream s and head h at
/// data + (s * queries + i) * token_stride + h * head_stride (in floats).
struct AttentionCall {
  const float* queries = nullptr;
  std::size_t query_token_stride = 0, query_head_stride = 0, query_stream_stride = 0;
  float* output = nullptr;
  std::size_t output_token_stride = 0, output_head_stride = 0, output_stream_stride = 0;
  int query_heads = 0;
  int queries_per_stream = 0;
  int first_stream = 0;
  int streams = 1;
  std::vector<MaskView> masks;  ///< one per stream
  float scale = 1;
  float softcap = 0;
  const float* sinks = nullptr;  ///< [query_heads] or null
  int threads = 1;
  const float* plain_queries = nullptr;  ///< before rotary embedding, [stream][query][heads * key_size]; read if reads_queries()
};

/// What is held for one sequence, over all caches of the context.
struct SequenceUse {
  std::int64_t key = 0;  ///< who it is, for CacheStore::forget and BatchShare
  int stream = 0;
  std::int64_t tokens_seen = 0;
  std::int64_t open_to = -1;  ///< tokens with those of which it is not known yet whether they were computed; -1: all are known
  bool shared = false;        ///< it has branches
  /// Tokens up to which the sequence can be cut and still be what a sequence of that length would be: those seen at the last
  /// eviction; 0 if there was none.
  std::int64_t exact_from = 0;
  std::int32_t oldest_in_window = -1;  ///< oldest position that sliding-window layers still hold; -1: nothing was dropped there
  std::int64_t entries = 0, entries_full = 0;
  std::int64_t kv_bytes = 0, kv_bytes_full = 0, kv_bytes_peak = 0;
  std::int64_t statistics_bytes = 0;
};

/// A sequence's share of what was evaluated: tokens at positions first .. last.
struct BatchShare {
  std::int64_t key = 0;
  int stream = 0;
  std::int32_t first = 0, last = 0;
};

/// Rows of the runtime's own cache tensors, in the order in which it copies them into or out of a saved state (row_trace.hpp):
/// they tell which cells the state is about. One part per cache and stream.
struct SavedRows {
  const void* group = nullptr;
  int stream = 0;
  std::vector<std::int32_t> cells;
};

/// The KV cache of one context of the runtime, held by us: one list per (sequence, layer, KV head), any length each.
///
///   layer by layer:  write keys -> write values -> attend      the first layer of a batch plans who sees what
///   once it is done: update of every sequence that crossed a multiple of the interval: score, select, release
///
/// The last attention is not the end of a batch: it may be aborted or fail behind it, and the runtime then removes its newest
/// part (ubatch). So that part stays open. It is settled when it is known to have been computed: batch_done(), the next part of
/// the same batch, or a mask in which its tokens are seen; it is taken back, as if it had never been, by batch_broken() or a
/// mask in which they are not.
class CacheStore {
 public:
  explicit CacheStore(CachePolicy memory);
  ~CacheStore();

  /// What the user of the context knows and the graphs do not tell. `window_tokens`: of sliding-window layers
  /// (llama_model_n_swa), 0 = none; those layers drop what left the window, policies decide about the others. `cuts`: sequences
  /// are never copied, or branched() tells. Then the end of one that the runtime removed is recognised and released, and windows
  /// are left: without it a copy might still need what the newest token does not see.
  void expect(int window_tokens, bool cuts);
  /// The runtime's batch begins, of which parts (ubatches) come one by one. Without a call each part counts as a batch, which is
  /// the same unless a batch has tokens of several branches.
  void batch_begins();
  /// The runtime has computed its batch to the end. Throws what the policy throws.
  void batch_done();
  /// The runtime failed or was stopped on the way. It keeps the parts that were done: by these positions its sequences, one range
  /// each, went on all the same. The newest part is taken back if they show that none of its tokens is left. Where each token is
  /// of one sequence they always tell; where it may be of several, a part is kept of which one token may be left: what has been
  /// removed of it is seen by nobody, and goes when its cells are written again.
  void batch_broken(std::span<const PositionRange> advanced);
  /// What memory was refused for while a part was settled is tried once more; then an update is left out.
  void settle_computed();
  /// The newest part was, or was not, computed to the end as far as this sequence is concerned.
  void settle(std::int64_t key);
  void take_back(std::int64_t key);
  /// The runtime has removed what lies behind the first `length` tokens of a sequence without branches, as its next batch would
  /// show. Does nothing if something was evicted in view of what is gone (that batch will be refused), or if the store counts
  /// other tokens.
  void cut(std::int64_t key, std::int32_t length);
  /// The runtime made a copy of the sequence. The copies share one list: its end is no longer cut and its windows are not left.
  void branched(std::int64_t key);

  /// The runtime copied the sequence that has stream `source` for itself onto stream `target`, and what was there is gone.
  /// Returns the keys of the copies, which share nothing with the source.
  std::vector<std::int64_t> copy_stream(int source, int target);

  /// Announces a layer before the first batch. `group` tells layers of different caches of one context apart (sliding window).
  void add_layer(const void* group, const LayerShape& shape, std::size_t cells_per_stream, int streams = 1);
  /// Parts of the cache that sequences have for themselves; 1 = all share one.
  int streams() const { return streams_; }
  /// The layers announced, ascending.
  std::vector<LayerDescription> layers() const;
  /// Keys or values of a batch, float rows [token][kv_heads * size] with `stride` floats between tokens, for the given cells
  /// (stream * cells_per_stream + cell). `plain`: the keys before rotary embedding, [token][kv_heads * size], and their rotation,
  /// which must last until attend(); read if reads_content().
  void write_keys(int layer, const float* rows, std::size_t stride, std::span<const std::int64_t> cells,
                  const float* plain = nullptr, const Rotation* rotation = nullptr);
  void write_values(int layer, const float* rows, std::size_t stride, std::size_t tokens);
  void attend(int layer, const AttentionCall& call);
  /// Before the first layer is announced: keys and values of layers that say so are held elsewhere, by a device. Those layers are
  /// placed, not written and attended. `holder` must outlive the store.
  void hold_elsewhere(RowHolder* holder);
  /// The holder has had `elsewhere` bytes of keys and values for a moment, while rows were moved.
  void note_peak(std::int64_t elsewhere);
  /// Throws std::runtime_error "KV cache: WHAT is not supported ..." if rows are held elsewhere.
  void require_own_rows(const char* what) const;
  /// The tokens of a layer get entries, and these get slots: query i of stream s writes cells[s * queries + i] (counted over all
  /// streams) and sees what row i of masks[s] says.
  void place(int layer, std::span<const std::int64_t> cells, int first_stream, std::span<const MaskView> masks);
  /// What statistics want of the attention of the part that was placed; then what it was, before another part is placed.
  WantedAttention wanted_attention(int layer) const;
  void observe(int layer, const SlotAttention& attention);

  /// True if keys and values are read, by the policy (Policy::reader) or its observer.
  bool reads_content() const;
  /// True if queries are read, too.
  bool reads_queries() const;
  /// Forgets all sequences and attaches another memory.
  void reset(CachePolicy memory);
  /// Updates every sequence now.
  void update();
  CacheUsage usage();
  /// Throws std::logic_error if cells, lists, statistics and counts do not agree: a fault of ours, for tests to find.
  void verify() const;
  /// Sequences that hold something, in order of arrival.
  std::vector<SequenceUse> sequences() const;
  /// What was evaluated since the last call, one entry per sequence.
  std::vector<BatchShare> take_shares();
  /// Releases a sequence that the runtime has removed. Unknown keys are ignored.
  void forget(std::int64_t key);
  /// Who may be a sequence of the runtime, for saved sessions: numbers of the caller's that come back with it.
  using Names = std::vector<std::int32_t>;
  /// What is held for these cells: keys, values, statistics. `names_of` is asked for each sequence (by its key).
  void save(ByteWriter& out, std::span<const SavedRows> rows, const std::function<Names(std::int64_t)>& names_of) const;
  /// Reads it and checks it; nothing is changed until install(). Throws std::runtime_error if it is damaged or was saved by
  /// another policy or model.
  std::shared_ptr<SavedStore> read(ByteReader& in) const;
  /// Puts it in the place of what these cells held. Returns the new sequences. Throws std::runtime_error, and changes nothing, if
  /// there are other rows than were saved.
  std::vector<std::pair<std::int64_t, Names>> install(const std::shared_ptr<SavedStore>& saved, std::span<const SavedRows> rows);
  /// What is held for these cells, without statistics, to go on from several times: branch(), then install().
  std::shared_ptr<const SavedStore> capture(std::span<const SavedRows> rows) const;
  /// A copy in which the named heads hold only the tokens at these positions; the others all. Only what is kept is copied.
  /// Without statistics: for a store without a policy.
  static std::shared_ptr<SavedStore> branch(const SavedStore& captured, std::span<const HeadContent> kept);
  /// Bytes of keys and values in it.
  static std::size_t kv_bytes(const SavedStore& captured);
  /// Size of the runtime's own cache tensors, bytes.
  double runtime_bytes() const;
  /// Tokens kept in each (layer, KV head) of the first sequence, ascending positions: for reports and tests.
  std::vector<HeadContent> content() const;

 private:
  struct Layer;
  struct Group;
  struct Sequence;
  struct Staging;
  struct RowNumbers;
  struct PlacedGroup;
  struct Cut;
  Layer& layer_of(int layer);
  const Layer& layer_of(int layer) const { return const_cast<CacheStore*>(this)->layer_of(layer); }
  std::vector<HeadList> make_lists(const LayerShape& shape, std::int64_t first_cell = 0) const;
  std::vector<PlacedGroup> placed_groups(const Group& group) const;
  Staging& stage(int layer);
  void begin_layer(Layer& layer);
  const BatchPlan& plan_part(Group& group, int stream, const MaskView& mask, std::span<const std::int64_t> cells);
  void end_layer(Group& group);
  void tidy();
  void put_rows(const Group& group, int stream, Sequence& sequence);
  void look_up(int layer, const std::vector<HeadList>& heads, RowNumbers& out) const;
  void append(const Layer& layer, std::vector<HeadList>& heads, const QueryGroup& queries, std::size_t first_token);
  void show_queries(const Layer& layer, const QueryGroup& queries, const AttentionCall& call, std::size_t first_token) const;
  void check_windows(const Group& group, int stream, const BatchPlan& plan) const;
  void check_cuts(const Group& group, int stream, const BatchPlan& plan) const;
  static void check_cut(const Group& group, const Sequence& sequence, std::int32_t from);
  void resolve_reused(Group& group, int stream, const BatchPlan& plan);
  void drop_reused(Group& group, int stream, const BatchPlan& plan);
  void drop_unowned(Group& group, int stream);
  void finish_part();
  std::vector<PositionRange> places_of_part() const;
  void open_part(Group& group, int stream, const BatchPlan& plan);
  void resolve_by_mask(Group& group, int stream, const MaskView& mask, std::span<const std::int32_t> written);
  bool crossed(const OpenPart& open) const;
  bool newest_removed(std::span<const PositionRange> advanced) const;
  static std::int32_t newest_lost(const Sequence& sequence, const std::vector<bool>& lost);
  void resolve_lost(Group& group, std::int64_t key, Sequence& sequence, std::int32_t newest);
  void drop(Sequence& sequence, const std::vector<bool>& lost);
  void make_room_to_drop(const CellMap& cells);
  template <class Work>
  void for_each_loser(Group& group, int stream, const BatchPlan& plan, Work work);
  void settle_all();
  void settle_if(bool (*wanted)(const OpenPart&));
  void settle(const Group& group, std::int64_t key, Sequence& sequence);
  void finish_open(const Group& group, std::int64_t key, Sequence& sequence);
  void take_back_all();
  void take_back(Group& group, std::int64_t key, Sequence& sequence);
  void take_back_peer(Group& group, std::int64_t key, std::int32_t first);
  template <class Work>
  void for_each_peer(Group& group, std::int64_t key, Work work);
  std::vector<Cut> cuts_in_peers(Group& group, int stream, const BatchPlan& plan);
  void cut_in(const Cut& cut);
  void find_windows();
  void erase_empty(Group& group);
  bool windows_unknown(const Sequence& sequence) const;
  void note_sequences();
  std::vector<bool> window_of(const QueryGroup& queries, const CellMap& cells) const;
  void leave_window(Sequence& sequence, const std::vector<bool>& seen);
  Group* primary() const;
  SequenceUse use_of(const Group& group, std::int64_t key, const Sequence& sequence) const;
  void update_sequence(const Group& group, std::int64_t key, Sequence& sequence);
  void measure();
  std::int64_t bytes_here() const;
  std::string fingerprint() const;
  std::string held_as() const;
  void write_group(ByteWriter& out, const Group& group, const SavedRows& rows,
                   const std::function<Names(std::int64_t)>& names_of) const;
  void take_cells(Group& group, int stream, std::span<const std::int32_t> cells);

  CachePolicy memory_;
  StatisticsSettings statistics_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::map<int, std::unique_ptr<Layer>> layers_;
  CacheUsage usage_;
  std::unique_ptr<Staging> staged_;
  std::vector<BatchShare> shares_;
  int window_tokens_ = 0, streams_ = 1;
  bool cuts_ = false, batches_told_ = false;
  bool in_batch_ = false;                          // told of its beginning, not yet of its end
  bool part_done_ = false;                         // of this batch, by all layers
  std::vector<std::vector<PositionRange>> parts_;  // of this batch, computed by all layers: where their tokens are
  int threads_ = 1;
  RowHolder* holder_ = nullptr;  // of keys and values of layers that are elsewhere
};

}  // namespace namm::llama
