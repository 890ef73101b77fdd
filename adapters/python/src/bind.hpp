#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm::python {

/// Arrays in host memory from anywhere (NumPy, torch), read where they are.
using Floats1 = nanobind::ndarray<const float, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using Doubles2 = nanobind::ndarray<const double, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;
using Floats2 = nanobind::ndarray<const float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;
using Ints1 = nanobind::ndarray<const std::int32_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

using LayerTuple = std::tuple<int, int, int, int, int>;  // layer, KV heads, key size, value size, window

inline std::vector<LayerDescription> descriptions(const std::vector<LayerTuple>& layers) {
  std::vector<LayerDescription> out;
  for (const auto& [layer, kv_heads, key_size, value_size, window] : layers)
    out.push_back({layer, kv_heads, key_size, value_size, window});
  return out;
}

/// The policy as Python has it: a value.
struct PolicyObject {
  CachePolicy policy;
};

/// A NumPy array that owns its numbers.
template <class T>
nanobind::ndarray<nanobind::numpy, T, nanobind::ndim<1>> to_array(std::vector<T> values) {
  auto* const held = new std::vector<T>(std::move(values));
  const nanobind::capsule owner(held, [](void* pointer) noexcept { delete static_cast<std::vector<T>*>(pointer); });
  return {held->data(), {held->size()}, owner};
}

void bind_policy(nanobind::module_& module);
void bind_sequence(nanobind::module_& module);
void bind_calibration(nanobind::module_& module);
void bind_strategy(nanobind::module_& module);
void bind_evolution(nanobind::module_& module);

}  // namespace namm::python
