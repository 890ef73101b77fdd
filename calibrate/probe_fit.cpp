#include "calibrate/probe_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace namm::calibrate {
namespace {

constexpr std::array<double, 6> kPenalties = {1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};

std::size_t inputs_of(ProbeInput input, const LayerDescription& layer) {
  const auto keys = static_cast<std::size_t>(layer.key_size), values = static_cast<std::size_t>(layer.value_size);
  return input == ProbeInput::key ? keys : static_cast<std::size_t>(layer.kv_heads) * (keys + values);
}

std::size_t columns_of(ProbeInput input, ReadOut read_out, const LayerDescription& layer) {
  return inputs_of(input, layer) * (read_out == ReadOut::quadratic ? 2 : 1);
}

}  // namespace

ProbeFit::ProbeFit(ProbeInput input, ReadOut read_out, const HostDescription& host)
    : input_(input), read_out_(read_out), layers_(host.cached), scales_(host.cached.size()) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const auto heads = static_cast<std::size_t>(layers_[l].kv_heads);
    const std::size_t targets = input == ProbeInput::key ? 1 : heads;
    for (std::size_t h = 0; h < heads; h += targets)
      problems_.push_back(
          {l, h, std::vector<NormalEquations>(kFolds, NormalEquations(columns_of(input, read_out, layers_[l]), targets))});
  }
}

double ProbeFit::bytes(ProbeInput input, ReadOut read_out, const HostDescription& host) {
  double numbers = 0;
  for (const LayerDescription& layer : host.cached) {
    const double size = static_cast<double>(columns_of(input, read_out, layer)) + 1;
    numbers += kFolds * size * size * (input == ProbeInput::key ? layer.kv_heads : 1);
  }
  return numbers * sizeof(double);
}

void ProbeFit::add(const Recorder& recording, std::size_t index) {
  std::vector<float> targets, columns;
  for (Problem& problem : problems_) {
    const auto found = recording.layers().find(layers_[problem.layer].layer);
    if (found == recording.layers().end() || found->second.kv_heads != layers_[problem.layer].kv_heads)
      throw std::invalid_argument("calibration: the recording lacks layer " + std::to_string(layers_[problem.layer].layer));
    const Recorder::Layer& layer = found->second;
    NormalEquations& equations = problem.folds[index % kFolds];
    targets.clear();
    for (std::size_t h = problem.first_head; h < problem.first_head + equations.targets(); ++h)
      for (const float attention : layer.attention[h]) targets.push_back(std::log(attention + kAttentionFloor));
    const std::size_t first = input_ == ProbeInput::key ? problem.first_head * layer.key_size : 0;
    const std::size_t inputs = inputs_of(input_, layers_[problem.layer]), tokens = recording.context_tokens();
    if (read_out_ == ReadOut::linear) {
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
  ++recordings_;
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
    out.by_layer.push_back(held_out ? 1 - layer_errors[l][best] / layer_variation[l] : unknown);
  }
  for (const Problem& problem : problems_) {
    NormalEquations all(problem.folds[0].inputs(), problem.folds[0].targets());
    for (const NormalEquations& fold : problem.folds) all.add(fold);
    const Eigen::MatrixXf weights = all.solve(out.penalty).cast<float>();  // [columns + 1][targets]
    ProbeLayer& to = layers[problem.layer];
    const auto inputs = static_cast<std::ptrdiff_t>(inputs_of(input_, layers_[problem.layer]));
    for (Eigen::Index h = 0; h < weights.cols(); ++h) {
      const float* const column = weights.col(h).data();  // inputs, their squares if there are, the constant
      to.weights.insert(to.weights.end(), column, column + inputs);
      to.weights.push_back(column[weights.rows() - 1]);
      to.square_weights.insert(to.square_weights.end(), column + inputs, column + weights.rows() - 1);
    }
  }
  out.probe = std::make_shared<TokenProbe>(input_, std::move(layers));
  return out;
}

std::vector<std::vector<double>> ProbeFit::state() const {
  std::vector<std::vector<double>> out;
  for (const SquareScale& scale : scales_) {
    out.emplace_back(scale.centre.begin(), scale.centre.end());
    out.emplace_back(scale.scale.begin(), scale.scale.end());
  }
  for (const Problem& problem : problems_)
    for (const NormalEquations& fold : problem.folds) out.push_back(fold.state());
  return out;
}

void ProbeFit::set_state(const std::vector<std::vector<double>>& state, std::size_t recordings) {
  const std::size_t expected = 2 * scales_.size() + problems_.size() * kFolds;
  if (state.size() != expected)
    throw std::invalid_argument("calibration: must get " + std::to_string(expected) + " sums, got " +
                                std::to_string(state.size()));
  std::size_t i = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const bool squares = read_out_ == ReadOut::quadratic && recordings > 0;
    const std::size_t heads = static_cast<std::size_t>(layers_[l].kv_heads);
    const std::size_t width = squares ? inputs_of(input_, layers_[l]) * (input_ == ProbeInput::key ? heads : 1) : 0;
    for (std::vector<float>* const to : {&scales_[l].centre, &scales_[l].scale}) {
      if (state[i].size() != width)
        throw std::invalid_argument("calibration: must get scales of " + std::to_string(width) + " numbers, got " +
                                    std::to_string(state[i].size()));
      to->assign(state[i].begin(), state[i].end());
      ++i;
    }
  }
  for (Problem& problem : problems_)
    for (NormalEquations& fold : problem.folds) fold.set_state(state[i++]);
  recordings_ = recordings;
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
