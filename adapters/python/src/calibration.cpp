// namm._core.Calibration: the texts, the recordings and the fit of calibrate/, for a model that Python evaluates.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "adapters/python/src/bind.hpp"
#include "adapters/python/src/tokeniser.hpp"
#include "base/atomic_file.hpp"
#include "base/date.hpp"
#include "base/version.hpp"
#include "calibrate/probe_fit.hpp"
#include "calibrate/recorder.hpp"
#include "calibrate/sources.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace namm::python {
namespace {

/// One calibration: texts are added, each is begun, recorded by append() and observe() and added to the sums, which are fitted.
class Calibration {
 public:
  Calibration(const std::vector<LayerTuple>& layers, int train_context, const std::string& target, const std::string& input,
              const std::string& read_out, double value_weight, std::vector<std::size_t> lengths, std::uint64_t seed,
              const std::pair<std::string, std::string>& turn, nb::callable tokenize, nb::callable detokenize) {
    settings_.target = calibrate::parse_target(target);
    settings_.probe = {parse_probe_input(input), calibrate::parse_read_out(read_out), value_weight};
    calibrate::check(settings_.probe);
    settings_.lengths = std::move(lengths);
    settings_.seed = seed;
    HostDescription description;
    description.train_context = train_context;
    description.cached = descriptions(layers);
    host_ = std::make_unique<Tokeniser>(std::move(description), Host::ChatTemplate{turn.first, turn.second}, std::move(tokenize),
                                        std::move(detokenize));
  }

  void add_made_up(std::size_t count) { calibrate::add_made_up(count, settings_); }
  void add_text(const std::string& text) { calibrate::add_text(text, *host_, settings_); }

  nb::dict plan(bool within_training) {
    const calibrate::Plan of =
        within_training ? calibrate::plan_within_training(*host_, settings_) : calibrate::plan(*host_, settings_);
    double recorded = 0;  // numbers of one token
    for (const LayerDescription& layer : host_->description().cached)
      recorded += layer.kv_heads * (layer.key_size + (settings_.probe.input == ProbeInput::layer ? layer.value_size : 0) + 2);
    nb::dict out;
    out["texts"] = settings_.sources.size();
    out["tokens"] = of.tokens;
    out["longest"] = of.longest;
    out["lengths"] = settings_.lengths;
    out["numbers"] = calibrate::ProbeFit::probe_numbers(settings_.probe, host_->description());
    out["most_numbers"] = kMostPolicyNumbers;
    out["most_binary_numbers"] = kMostBinaryPolicyNumbers;
    out["bytes"] = calibrate::ProbeFit::bytes(settings_.probe, host_->description(), of.longest_context) +
                   recorded * static_cast<double>(of.longest_context) * sizeof(float);
    return out;
  }

  nb::tuple begin(std::size_t index) {
    if (index >= settings_.sources.size())
      throw std::invalid_argument("text: must be one of " + std::to_string(settings_.sources.size()) + ", is number " +
                                  std::to_string(index));
    calibrate::Passage passage = calibrate::passage_of(*host_, settings_, index);
    std::vector<std::pair<std::int32_t, std::int32_t>> queries;
    for (const calibrate::PositionRange& range : passage.queries) queries.emplace_back(range.begin, range.end);
    recorder_.emplace(settings_.probe.input, static_cast<std::int32_t>(passage.context.size()), passage.queries);
    index_ = index;
    const std::size_t context = passage.context.size();
    std::vector<Token>& tokens = passage.context;
    tokens.insert(tokens.end(), passage.tail.begin(), passage.tail.end());
    return nb::make_tuple(to_array(std::move(tokens)), context, queries);
  }

  void append(int layer, const Ints1& positions, const Floats2& keys, const Floats2& values) {
    const LayerDescription& shape = described(layer);
    const std::size_t heads = static_cast<std::size_t>(shape.kv_heads);
    const auto key_size = static_cast<std::size_t>(shape.key_size), value_size = static_cast<std::size_t>(shape.value_size);
    require(keys, positions.size(), heads * key_size, "keys");
    require(values, positions.size(), heads * value_size, "values");
    recording().on_tokens(
        {layer, shape.kv_heads, key_size, value_size, {positions.data(), positions.size()}, keys.data(), values.data()});
  }

  /// Who hands it over has taken the maximum over the queries, and left out those that are near; `evenness`: of each head, the
  /// sums of calibrate::Evenness.
  void observe(int layer, const Floats2& largest, const Doubles2& evenness) {
    const LayerDescription& shape = described(layer);
    const std::size_t context = recording().context_tokens();
    require(largest, static_cast<std::size_t>(shape.kv_heads), context, "largest attention");
    require(evenness, static_cast<std::size_t>(shape.kv_heads), 2, "evenness");
    for (int head = 0; head < shape.kv_heads; ++head) {
      const double* const sums = evenness.data() + 2 * head;
      recorder_->add(layer, head, {largest.data() + static_cast<std::size_t>(head) * context, context},
                     calibrate::Evenness::of(sums[0], sums[1]));
    }
  }

  void add() {
    const calibrate::Recorder& recorded = recording();
    for (const auto& [layer, of] : recorded.layers())
      if (of.inputs.size() != recorded.context_tokens() * of.width)
        throw std::invalid_argument("calibration: layer " + std::to_string(layer) + " must have all tokens of the text, has " +
                                    std::to_string(of.inputs.size() / of.width) + " of " +
                                    std::to_string(recorded.context_tokens()));
    const nb::gil_scoped_release unlocked;
    if (!fit_) fit_.emplace(settings_.probe, host_->description());
    fit_->add(recorded, index_);
    recorder_.reset();
  }

  nb::tuple fit(float recency) const {
    KeyProbePolicy::check_recency(recency);
    if (!fit_ || !fit_->whole()) throw std::invalid_argument("calibration: must have a recorded text, has none");
    calibrate::ProbeFit::Result fitted;
    {
      const nb::gil_scoped_release unlocked;
      fitted = fit_->fit();
    }
    PolicyObject out;
    out.policy.policy = std::make_shared<KeyProbePolicy>(fitted.probe, recency, fitted.evenness);
    out.policy.selection.mode = SelectionMode::pooled;
    return nb::make_tuple(std::move(out), fitted.penalty, fitted.explained, fitted.by_layer, fitted.evenness);
  }

 private:
  calibrate::Recorder& recording() {
    if (!recorder_) throw std::invalid_argument("calibration: a text must have begun, none has; call begin()");
    return *recorder_;
  }
  const LayerDescription& described(int layer) const {
    for (const LayerDescription& one : host_->description().cached)
      if (one.layer == layer) return one;
    throw std::invalid_argument("layer: must be one that the calibration was made with, is " + std::to_string(layer));
  }
  template <class Rows>
  static void require(const Rows& rows, std::size_t count, std::size_t width, const char* what) {
    if (rows.shape(0) != count || rows.shape(1) != width)
      throw std::invalid_argument(std::string(what) + ": must be [" + std::to_string(count) + "][" + std::to_string(width) +
                                  "], is [" + std::to_string(rows.shape(0)) + "][" + std::to_string(rows.shape(1)) + "]");
  }

  calibrate::Settings settings_;
  std::unique_ptr<Tokeniser> host_;  // Python evaluates the model, so there is nothing else to a host here
  std::optional<calibrate::Recorder> recorder_;
  std::optional<calibrate::ProbeFit> fit_;  // made with the first recording: its sums can be large
  std::size_t index_ = 0;
};

}  // namespace

void bind_calibration(nb::module_& module) {
  module.def("commit", &commit);
  module.def("today", &today);
  module.def(
      "write_file", [](const std::string& path, const std::string& content) { write_file_atomically(path, content); }, "path"_a,
      "content"_a);
  nb::class_<Calibration>(module, "Calibration")
      .def(nb::init<const std::vector<LayerTuple>&, int, const std::string&, const std::string&, const std::string&, double,
                    std::vector<std::size_t>, std::uint64_t, const std::pair<std::string, std::string>&, nb::callable,
                    nb::callable>(),
           "layers"_a, "train_context"_a, "target"_a, "input"_a, "read_out"_a, "value_weight"_a, "lengths"_a, "seed"_a, "turn"_a,
           "tokenize"_a, "detokenize"_a)
      .def("add_made_up", &Calibration::add_made_up, "count"_a)
      .def("add_text", &Calibration::add_text, "text"_a)
      .def("plan", &Calibration::plan, "within_training"_a)
      .def("begin", &Calibration::begin, "index"_a)
      .def("append", &Calibration::append, "layer"_a, "positions"_a, "keys"_a, "values"_a)
      .def("observe", &Calibration::observe, "layer"_a, "largest"_a, "evenness"_a)
      .def("add", &Calibration::add)
      .def("fit", &Calibration::fit, "recency"_a)
      .def_ro_static("near", &calibrate::Recorder::kNear)
      .def_ro_static("sinks", &calibrate::Recorder::kSinks)
      .def_ro_static("every", &calibrate::Recorder::kEvery)
      .def_ro_static("fewest", &calibrate::Evenness::kFewest);
}

}  // namespace namm::python
