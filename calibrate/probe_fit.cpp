#include "calibrate/probe_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>

namespace namm::calibrate {
namespace {

constexpr double kLargestValueWeight = 4;
constexpr std::array<double, 6> kPenalties = {1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};

std::size_t inputs_of(ProbeInput input, const LayerDescription& layer) {
  const auto keys = static_cast<std::size_t>(layer.key_size), values = static_cast<std::size_t>(layer.value_size);
  return input == ProbeInput::key ? keys : static_cast<std::size_t>(layer.kv_heads) * (keys + values);
}

std::size_t columns_of(const ProbeSettings& settings, const LayerDescription& layer) {
  return inputs_of(settings.input, layer) * (settings.read_out == ReadOut::quadratic ? 2 : 1);
}

/// Appends a head's targets, one for each token.
void append_targets(std::span<const float> attention, std::span<const float> value_log_norms, double value_weight,
                    std::vector<float>& to) {
  double mean = 0;
  for (const float norm : value_log_norms) mean += norm;
  mean /= static_cast<double>(value_log_norms.size());
  for (std::size_t i = 0; i < attention.size(); ++i)
    to.push_back(static_cast<float>(std::log(attention[i] + kAttentionFloor) + value_weight * (value_log_norms[i] - mean)));
}

}  // namespace

void check(const ProbeSettings& settings) {
  if (!(settings.value_weight >= 0 && settings.value_weight <= kLargestValueWeight))
    throw std::invalid_argument("value weight: must be from 0 to " + std::to_string(static_cast<int>(kLargestValueWeight)) +
                                ", is " + std::to_string(settings.value_weight));
}

ProbeFit::ProbeFit(const ProbeSettings& settings, const HostDescription& host)
    : settings_(settings), layers_(host.cached), scales_(host.cached.size()) {
  check(settings);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const auto heads = static_cast<std::size_t>(layers_[l].kv_heads);
    evenness_.emplace_back(heads);
    const std::size_t targets = settings.input == ProbeInput::key ? 1 : heads;
    for (std::size_t h = 0; h < heads; h += targets)
      problems_.push_back(
          {l, h, std::vector<NormalEquations>(kFolds, NormalEquations(columns_of(settings, layers_[l]), targets))});
  }
}

std::size_t ProbeFit::probe_numbers(const ProbeSettings& settings, const HostDescription& host) {
  std::size_t out = 0;
  for (const LayerDescription& layer : host.cached) {
    const auto heads = static_cast<std::size_t>(layer.kv_heads);
    out += heads * (columns_of(settings, layer) + 1);
    if (settings.read_out == ReadOut::quadratic)  // centre and scale of what all heads read together
      out += 2 * inputs_of(settings.input, layer) * (settings.input == ProbeInput::key ? heads : 1);
  }
  return out;
}

double ProbeFit::bytes(const ProbeSettings& settings, const HostDescription& host, std::size_t tokens) {
  double numbers = 0, widest = 0;
  for (const LayerDescription& layer : host.cached) {
    const double size = static_cast<double>(columns_of(settings, layer)) + 1;
    numbers += kFolds * size * size * (settings.input == ProbeInput::key ? layer.kv_heads : 1);
    widest = std::max(widest, size);
  }
  // a triangle of each is saved; columns are made as float and added as double
  return 1.5 * numbers * sizeof(double) + static_cast<double>(tokens) * widest * (sizeof(float) + sizeof(double));
}

void ProbeFit::add(const Recorder& recording, std::size_t index) {
  std::vector<float> targets, columns;
  whole_ = false;
  for (Problem& problem : problems_) {
    const auto found = recording.layers().find(layers_[problem.layer].layer);
    if (found == recording.layers().end() || found->second.kv_heads != layers_[problem.layer].kv_heads)
      throw std::invalid_argument("calibration: the recording lacks layer " + std::to_string(layers_[problem.layer].layer));
    const Recorder::Layer& layer = found->second;
    NormalEquations& equations = problem.folds[index % kFolds];
    targets.clear();
    for (std::size_t h = problem.first_head; h < problem.first_head + equations.targets(); ++h)
      append_targets(layer.attention[h], layer.value_log_norms[h], settings_.value_weight, targets);
    const std::size_t first = settings_.input == ProbeInput::key ? problem.first_head * layer.key_size : 0;
    const std::size_t inputs = inputs_of(settings_.input, layers_[problem.layer]), tokens = recording.context_tokens();
    if (settings_.read_out == ReadOut::linear) {
      equations.add(layer.inputs.data() + first, tokens, layer.width, targets);
      continue;
    }
    SquareScale& scale = scales_[problem.layer];
    if (scale.empty()) scale = scale_of(layer.inputs, layer.width);
    columns.resize(tokens * 2 * inputs);
    for (std::size_t i = 0; i < tokens; ++i) {
      const float* const row = layer.inputs.data() + i * layer.width + first;
      float* const to = columns.data() + i * 2 * inputs;
      std::copy_n(row, inputs, to);
      squares_of(scale, row, 1, layer.width, first, inputs, to + inputs);
    }
    equations.add(columns.data(), tokens, 2 * inputs, targets);
  }
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for (std::size_t h = 0; h < evenness_[l].size(); ++h)
      evenness_[l][h].add(recording.layers().at(layers_[l].layer).evenness[h]);
  ++recordings_;
  whole_ = true;
}

ProbeFit::Result ProbeFit::fit() const {
  Result out;
  std::array<double, kPenalties.size()> errors{};
  std::vector<std::array<double, kPenalties.size()>> layer_errors(layers_.size());
  std::vector<double> layer_variation(layers_.size());
  double variation = 0;
  bool held_out = false;
  for (const Problem& problem : problems_)
    for (int fold = 0; fold < kFolds; ++fold) {
      const NormalEquations& test = problem.folds[static_cast<std::size_t>(fold)];
      NormalEquations train(test.inputs(), test.targets());
      for (int other = 0; other < kFolds; ++other)
        if (other != fold) train.add(problem.folds[static_cast<std::size_t>(other)]);
      if (test.rows() < 1 || train.rows() < 1) continue;
      held_out = true;
      for (std::size_t p = 0; p < kPenalties.size(); ++p) {
        const double error = test.squared_error(train.solve(kPenalties[p]));
        errors[p] += error;
        layer_errors[problem.layer][p] += error;
      }
      variation += test.variation();
      layer_variation[problem.layer] += test.variation();
    }
  std::size_t best = kPenalties.size() - 1;
  if (held_out)
    for (std::size_t p = 0; p < kPenalties.size(); ++p)
      if (errors[p] < errors[best]) best = p;
  out.penalty = kPenalties[best];
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  out.explained = held_out ? 1 - errors[best] / variation : unknown;
  std::vector<ProbeLayer> layers;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LayerDescription& shape = layers_[l];
    layers.push_back({shape.layer,
                      shape.kv_heads,
                      static_cast<std::size_t>(shape.key_size),
                      static_cast<std::size_t>(shape.value_size),
                      {},
                      scales_[l],
                      {}});
    for (const Evenness& evenness : evenness_[l]) out.evenness.push_back(static_cast<float>(evenness.value()));
    out.by_layer.push_back(held_out ? 1 - layer_errors[l][best] / layer_variation[l] : unknown);
  }
  for (const Problem& problem : problems_) {
    NormalEquations all(problem.folds[0].inputs(), problem.folds[0].targets());
    for (const NormalEquations& fold : problem.folds) all.add(fold);
    const Eigen::MatrixXf weights = all.solve(out.penalty).cast<float>();  // [columns + 1][targets]
    ProbeLayer& to = layers[problem.layer];
    const auto inputs = static_cast<std::ptrdiff_t>(inputs_of(settings_.input, layers_[problem.layer]));
    for (Eigen::Index h = 0; h < weights.cols(); ++h) {
      const float* const column = weights.col(h).data();  // inputs, their squares if there are, the constant
      to.weights.insert(to.weights.end(), column, column + inputs);
      to.weights.push_back(column[weights.rows() - 1]);
      to.square_weights.insert(to.square_weights.end(), column + inputs, column + weights.rows() - 1);
    }
  }
  out.probe = std::make_shared<TokenProbe>(settings_.input, std::move(layers));
  return out;
}

std::size_t ProbeFit::scale_size(std::size_t layer, std::size_t recordings) const {
  if (settings_.read_out != ReadOut::quadratic || recordings == 0) return 0;
  const auto heads = static_cast<std::size_t>(layers_[layer].kv_heads);
  return inputs_of(settings_.input, layers_[layer]) * (settings_.input == ProbeInput::key ? heads : 1);
}

std::vector<double> ProbeFit::state() const {
  std::vector<double> out;
  out.reserve(state_size(recordings_));
  for (const SquareScale& scale : scales_) {
    out.insert(out.end(), scale.centre.begin(), scale.centre.end());
    out.insert(out.end(), scale.scale.begin(), scale.scale.end());
  }
  for (const Problem& problem : problems_)
    for (const NormalEquations& fold : problem.folds) fold.append_state(out);
  for (const std::vector<Evenness>& heads : evenness_)
    for (const Evenness& evenness : heads) out.insert(out.end(), {evenness.attended(), evenness.even()});
  return out;
}

std::size_t ProbeFit::state_size(std::size_t recordings) const {
  std::size_t out = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) out += 2 * scale_size(l, recordings) + 2 * evenness_[l].size();
  for (const Problem& problem : problems_)
    for (const NormalEquations& fold : problem.folds) out += fold.state_size();
  return out;
}

void ProbeFit::set_state(std::span<const double> state, std::size_t recordings) {
  if (state.size() != state_size(recordings))
    throw std::invalid_argument("calibration: must get " + std::to_string(state_size(recordings)) + " numbers, got " +
                                std::to_string(state.size()));
  const auto take = [&](std::size_t count) {
    const std::span<const double> out = state.first(count);
    state = state.subspan(count);
    return out;
  };
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for (std::vector<float>* const to : {&scales_[l].centre, &scales_[l].scale}) {
      const std::span<const double> numbers = take(scale_size(l, recordings));
      to->assign(numbers.begin(), numbers.end());
    }
  for (Problem& problem : problems_)
    for (NormalEquations& fold : problem.folds) fold.set_state(take(fold.state_size()));
  for (std::vector<Evenness>& heads : evenness_)
    for (Evenness& evenness : heads) {
      const std::span<const double> sums = take(2);
      evenness = Evenness::of(sums[0], sums[1]);
    }
  recordings_ = recordings;
  whole_ = true;
}

ReadOut parse_read_out(std::string_view name) {
  if (name == "linear") return ReadOut::linear;
  if (name == "quadratic") return ReadOut::quadratic;
  throw std::invalid_argument("read-out: must be linear or quadratic, is '" + std::string(name.substr(0, 40)) + "'");
}

std::string_view to_string(ReadOut read_out) {
  return read_out == ReadOut::linear ? "linear" : "quadratic";
}

}  // namespace namm::calibrate
