#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "adapters/c/policy_sequence.hpp"
#include "adapters/python/src/bind.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace namm::python {
namespace {

// Python's lock is kept in every call: a sequence has none of its own.

const LayerDescription& layer_of(const PolicySequence& sequence, int layer) {
  for (const LayerDescription& one : sequence.layers())
    if (one.layer == layer) return one;
  throw std::invalid_argument("layer: must be one that the sequence was made with, is " + std::to_string(layer));
}

const float* rows_of(const std::optional<Floats2>& rows, std::size_t count, int width, const char* what) {
  if (!rows) return nullptr;
  if (rows->shape(0) != count || rows->shape(1) != static_cast<std::size_t>(width))
    throw std::invalid_argument(std::string(what) + ": must be [" + std::to_string(count) + "][" + std::to_string(width) +
                                "], is [" + std::to_string(rows->shape(0)) + "][" + std::to_string(rows->shape(1)) + "]");
  return rows->data();
}

void append(PolicySequence& self, int layer, const Ints1& positions, const std::optional<Floats2>& keys,
            const std::optional<Floats2>& values) {
  const LayerDescription& shape = layer_of(self, layer);
  const int key_width = shape.kv_heads * shape.key_size, value_width = shape.kv_heads * shape.value_size;
  const std::size_t count = positions.size();
  const TokenRows rows{rows_of(keys, count, key_width, "keys"), static_cast<std::size_t>(key_width),
                       rows_of(values, count, value_width, "values"), static_cast<std::size_t>(value_width)};
  self.append(layer, {positions.data(), count}, rows);
}

void observe(PolicySequence& self, int layer, int kv_head, const Floats2& attention, std::int32_t first_position) {
  const std::size_t stride = attention.shape(1);
  const int rows = static_cast<int>(attention.shape(0));
  const std::span<const float> numbers(attention.data(), attention.size());
  self.observe(layer, kv_head, numbers, rows, stride, first_position);
}

nb::ndarray<nb::numpy, std::int32_t, nb::ndim<1>> copied(std::span<const std::int32_t> values) {
  return to_array(std::vector<std::int32_t>(values.begin(), values.end()));
}

nb::dict usage(const PolicySequence& self) {
  const CacheUsage from = self.usage();
  nb::dict out;
  out["tokens_seen"] = from.tokens_seen;
  out["entries"] = from.entries;
  out["entries_full"] = from.entries_full;
  out["statistics_bytes"] = from.statistics_bytes;
  out["updates"] = from.updates;
  out["nan_scores"] = from.nan_scores;
  return out;
}

}  // namespace

void bind_sequence(nb::module_& module) {
  nb::class_<PolicySequence>(module, "Sequence")
      .def(
          "__init__",
          [](PolicySequence* self, const PolicyObject& policy, const std::vector<LayerTuple>& layers, double bytes_per_number) {
            new (self) PolicySequence(policy.policy, descriptions(layers), bytes_per_number);
          },
          "policy"_a, "layers"_a, "bytes_per_number"_a = 2.0)
      .def("append", &append, "layer"_a, "positions"_a, "keys"_a = nb::none(), "values"_a = nb::none())
      .def("observe", &observe, "layer"_a, "kv_head"_a, "attention"_a, "first_position"_a)
      .def("update", &PolicySequence::update)
      .def("clear", &PolicySequence::clear)
      .def(
          "kept", [](const PolicySequence& self, int layer, int kv_head) { return copied(self.kept(layer, kv_head)); }, "layer"_a,
          "kv_head"_a)
      .def(
          "scores", [](const PolicySequence& self, int layer, int kv_head) { return to_array(self.scores(layer, kv_head)); },
          "layer"_a, "kv_head"_a)
      .def(
          "positions", [](const PolicySequence& self, int layer, int kv_head) { return copied(self.positions(layer, kv_head)); },
          "layer"_a, "kv_head"_a)
      .def("usage", &usage)
      .def("save",
           [](const PolicySequence& self) {
             const std::vector<std::byte> saved = self.save();
             return nb::bytes(saved.data(), saved.size());
           })
      .def(
          "restore",
          [](PolicySequence& self, const nb::bytes& saved) {
            self.restore({static_cast<const std::byte*>(saved.data()), saved.size()});
          },
          "saved"_a)
      .def_prop_ro("due", &PolicySequence::due)
      .def_prop_ro("tokens_seen", &PolicySequence::tokens_seen);
}

}  // namespace namm::python
