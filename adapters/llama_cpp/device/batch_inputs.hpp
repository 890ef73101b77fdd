#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "adapters/llama_cpp/device/graph_parts.hpp"
#include "adapters/llama_cpp/device/input_tap.hpp"
#include "adapters/llama_cpp/device/layer_nodes.hpp"
#include "adapters/llama_cpp/device/layer_rows.hpp"
#include "adapters/llama_cpp/device/probe_nodes.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"

namespace namm::llama {

/// A layer of a graph that is about to be computed; its entries have their slots.
struct LayerTask {
  GraphPart part;
  const LayerRows* rows = nullptr;
  InputBytes cells, mask;             ///< of the batch: I64 [T]; F16 [cells, T]
  int first_stream = 0, streams = 1;  ///< whose queries these are, as many of each
  std::int64_t cells_per_stream = 0;
  const ProbeTensors* probe = nullptr;  ///< what the policy reads of tokens; null: nothing
  PlainRows plain{};                    ///< keys as the probe reads them
  WantedAttention wanted{};             ///< for the policy's statistics
};

/// Frames of the spectrogram of one sequence (FrameTensors), with where their inputs and their result lie.
struct FrameInputs {
  std::int64_t hops = 0, tile = 0;
  std::size_t query_ids_at = 0, mask_ids_at = 0, weights_at = 0, frames_at = 0;
  bool operator==(const FrameInputs&) const = default;
};

/// What differs between layers, with where its inputs lie. T queries, K KV heads, S slots, M masks (1 or K).
struct LayerInputs {
  MaskKind kind = MaskKind::runtimes;
  std::int64_t queries = 0, slot_count = 0, masks = 1, mask_cells = 0;
  std::int64_t query_heads = 0, streams = 1, rows = 0;  ///< rows of attention that are wanted
  bool sums = false, some = false;                      ///< some: not of all queries
  bool turn = false;                                    ///< gathered: the device makes the columns
  std::size_t slots_at = 0, mask_at = 0, columns_at = 0, cells_at = 0, query_ids_at = 0, mask_ids_at = 0;
  std::size_t sums_at = 0, rows_at = 0;  ///< in what is read back
  std::size_t basis_at = 0;              ///< of the spectrogram
  std::vector<FrameInputs> frames{};
  bool operator==(const LayerInputs&) const = default;
};

/// Which slots rows go to and who sees what, for one graph: laid out in one piece, filled by the host.
///
///     slots, cells, ... | changes | masks of a few queries | columns
///     sent with every batch       | sent where they are new | made by the device
///
/// From one token to the next a mask changes in a column or two, and there is one for each layer and head. So the device keeps
/// them, and gets the changes: (number in the masks, value), put there by one node.
class BatchInputs {
 public:
  void lay_out(ggml_cgraph* graph, std::span<const LayerTask> tasks);
  const std::vector<LayerInputs>& layers() const { return layers_; }
  std::size_t bytes() const { return columns_end_; }
  /// Of what is read back.
  std::size_t output_bytes() const { return output_bytes_; }

  /// Where the masks and their changes lie: F16 [mask_halves]; I64 and F32 [changes]. None: there are no such masks.
  std::size_t masks_at() const { return masks_at_; }
  std::size_t mask_halves() const { return mask_halves_; }
  std::size_t changes() const { return changes_; }
  std::size_t change_ids_at() const { return change_ids_at_; }
  std::size_t change_values_at() const { return change_values_at_; }

  /// Fills them. Returns what has to be sent, which begins at 0: everything where the device does not have the masks of the batch
  /// before, laid out like these (`fresh`), or where more has changed than a few columns.
  std::span<const char> fill(std::span<const LayerTask> tasks, bool fresh);

 private:
  /// A layer as it was when it was looked at last, to tell what has changed.
  struct Seen {
    int layer = -1, first_stream = 0;
    std::vector<RowSlots::Changes> slots;  // [KV head]
    bool alike = false;                    // all heads hold the same cells in the same slots
    bool in_order = false;                 // and slots are cells
    bool only_written = false;             // since the time before, nothing but the cells of the batch came
    InputBytes mask;                       // the runtime's, when masks were filled
  };
  LayerInputs look_at(ggml_cgraph* graph, const LayerTask& task, Seen& seen) const;
  static void compare(const LayerTask& task, Seen& seen);
  void fill_layer(const LayerTask& task, const LayerInputs& layer, std::size_t& columns_done);
  void fill_mask(const LayerTask& task, const LayerInputs& layer);
  bool change_mask(const LayerTask& task, const LayerInputs& layer, const Seen& seen);
  bool change(std::size_t number, std::uint16_t value);

  std::vector<LayerInputs> layers_;
  std::vector<Seen> seen_;
  std::size_t masks_at_ = 0, mask_halves_ = 0, changes_ = 0, change_ids_at_ = 0, change_values_at_ = 0, columns_end_ = 0,
              output_bytes_ = 0;
  std::size_t changed_ = 0;
  std::vector<char> staging_;
};

}  // namespace namm::llama
