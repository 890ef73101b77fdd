#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "calibrate/recorder.hpp"
#include "calibrate/ridge.hpp"
#include "core/probe/token_probe.hpp"
#include "host/host.hpp"

namespace namm::calibrate {

/// Below this an attention is as good as none: fits are of ln(attention + floor). The quarter of tokens that a budget of 25 %
/// keeps has largest attentions above 5e-3 (measured on SmolLM2-135M).
constexpr float kAttentionFloor = 1e-3f;

/// What a probe is a function of.
enum class ReadOut {
  linear,    ///< the token's numbers
  quadratic  ///< the numbers and their squares, standardised by the first recording: better, four times the memory to fit
};

/// What a probe is to read, and of what.
struct ProbeSettings {
  ProbeInput input = ProbeInput::layer;
  ReadOut read_out = ReadOut::quadratic;
  /// How much the size of a token's value counts beside its attention, 0 or more. A head adds attention x value to its output, so
  /// 1 weighs a token by what it can add to it (value-aware pruning, arXiv 2406.12335).
  double value_weight = 1;
};
/// Throws std::invalid_argument.
void check(const ProbeSettings& settings);

/// Fits the probes of a model from recordings: ridge regression of ln(attention + 1e-3) + value_weight x (ln |value| - its mean
/// over the recording's tokens in that head) on what the probe reads, streaming (only normal equations are kept), the penalty
/// chosen by held-out recordings. Values are compared within a head only: what a head's output is worth to the model is
/// not known from how large its values are.
class ProbeFit {
 public:
  static constexpr int kFolds = 3;

  ProbeFit(const ProbeSettings& settings, const HostDescription& host);
  /// Recording number `index` goes to fold index % kFolds. Throws std::invalid_argument if it is of another model.
  void add(const Recorder& recording, std::size_t index);
  std::size_t recordings() const { return recordings_; }
  /// False after an add() that threw: its sums then hold a part of a recording.
  bool whole() const { return whole_; }

  struct Result {
    std::shared_ptr<const TokenProbe> probe;
    double penalty = 0;            ///< per row, of standardised inputs
    double explained = 0;          ///< share of the variance of held-out targets, over all heads
    std::vector<double> by_layer;  ///< the same for each cached layer
    std::vector<float> evenness;   ///< of every KV head of the cached layers, in their order, 0 to 1 (Evenness)
  };
  /// Needs recordings in two folds or more to choose the penalty; with fewer the largest is taken and `explained` is NaN.
  Result fit() const;

  /// Everything, flat, for checkpoints. Throws std::invalid_argument on a state of another shape.
  std::vector<double> state() const;
  std::size_t state_size(std::size_t recordings) const;
  void set_state(std::span<const double> state, std::size_t recordings);

  /// Numbers that a fitted probe holds: weights, and what makes squares comparable.
  static std::size_t probe_numbers(const ProbeSettings& settings, const HostDescription& host);
  /// Memory that the sums need, with a copy of them to be saved and what adding a text of so many tokens takes, in bytes: for the
  /// estimate that is printed before the work.
  static double bytes(const ProbeSettings& settings, const HostDescription& host, std::size_t tokens);

 private:
  std::size_t scale_size(std::size_t layer, std::size_t recordings) const;  // numbers in scales_[layer].centre

  struct Problem {          // one per head, or per layer if the heads of a layer read the same
    std::size_t layer = 0;  // index in layers_
    std::size_t first_head = 0;
    std::vector<NormalEquations> folds;
  };
  ProbeSettings settings_;
  std::vector<LayerDescription> layers_;
  std::vector<SquareScale> scales_;  // of layers_; empty ones before the first recording and for linear read-outs
  std::vector<Problem> problems_;
  std::vector<std::vector<Evenness>> evenness_;  // of layers_: [kv_head]
  std::size_t recordings_ = 0;
  bool whole_ = true;
};

/// Throws std::invalid_argument.
ReadOut parse_read_out(std::string_view name);
std::string_view to_string(ReadOut read_out);

}  // namespace namm::calibrate
