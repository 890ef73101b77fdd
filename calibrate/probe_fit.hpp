#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "adapters/host.hpp"
#include "calibrate/recorder.hpp"
#include "calibrate/ridge.hpp"
#include "namm/probe/token_probe.hpp"

namespace namm::calibrate {

/// Below this an attention is as good as none: fits are of ln(attention + floor). The quarter of tokens that a budget of 25 %
/// keeps has largest attentions above 5e-3 (measured on SmolLM2-135M).
constexpr float kAttentionFloor = 1e-3f;

/// What a probe is a function of.
enum class ReadOut {
  linear,    ///< the token's numbers
  quadratic  ///< the numbers and their squares, standardised by the first recording: better, four times the memory to fit
};

/// Fits the probes of a model from recordings: ridge regression of ln(attention + 1e-3) on what the probe reads, streaming (only
/// normal equations are kept), the penalty chosen by held-out recordings.
class ProbeFit {
 public:
  static constexpr int kFolds = 3;

  ProbeFit(ProbeInput input, ReadOut read_out, const HostDescription& host);
  /// Recording number `index` goes to fold index % kFolds. Throws std::invalid_argument if it is of another model.
  void add(const Recorder& recording, std::size_t index);
  std::size_t recordings() const { return recordings_; }

  struct Result {
    std::shared_ptr<const TokenProbe> probe;
    double penalty = 0;            ///< per row, of standardised inputs
    double explained = 0;          ///< share of the variance of held-out targets, over all heads
    std::vector<double> by_layer;  ///< the same for each cached layer
  };
  /// Needs recordings in two folds or more to choose the penalty; with fewer the largest is taken and `explained` is NaN.
  Result fit() const;

  /// For checkpoints. Throws std::invalid_argument on a state of another shape.
  std::vector<std::vector<double>> state() const;
  void set_state(const std::vector<std::vector<double>>& state, std::size_t recordings);

  /// Memory that the sums need, in bytes, for the estimate that is printed before the work.
  static double bytes(ProbeInput input, ReadOut read_out, const HostDescription& host);

 private:
  struct Problem {          // one per head, or per layer if the heads of a layer read the same
    std::size_t layer = 0;  // index in layers_
    std::size_t first_head = 0;
    std::vector<NormalEquations> folds;
  };
  ProbeInput input_;
  ReadOut read_out_;
  std::vector<LayerDescription> layers_;
  std::vector<SquareScale> scales_;  // of layers_; empty ones before the first recording and for linear read-outs
  std::vector<Problem> problems_;
  std::size_t recordings_ = 0;
};

/// Throws std::invalid_argument.
ReadOut parse_read_out(std::string_view name);
std::string_view to_string(ReadOut read_out);

}  // namespace namm::calibrate
