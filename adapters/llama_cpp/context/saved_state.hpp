#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/context/runtime.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

/// A state of the runtime with ours behind it: the runtime's own bytes without the rows of its cache tensors, which are empty,
/// then keys, values and statistics out of the store. `sequence`: -1 = all of the context.
///
///     "NAMMSTA1"  u64 bytes in all  i32 sequence  u64 bytes of the runtime's state  u64 n, [n] (u64 offset, u64 length) left out
///     the rest of the runtime's state  the store's part (saved_store.cpp)
struct StateSource {
  const Runtime& runtime;
  void* context;
  CacheStore& store;
  std::function<CacheStore::Names(std::int64_t)> names_of;
};

/// Writes the state; what does not fit in `to` is only counted. Returns its size. Throws std::runtime_error if the runtime's own
/// part fails.
std::size_t write_state(const StateSource& source, std::int32_t sequence, std::span<std::byte> to);

/// Reads a state, which anybody may have written. The runtime checks its own part, CacheStore::read() ours, before anything is
/// changed. `forget` is called once our part is found sound and before the runtime's is loaded. Returns the sequences that
/// came back. Throws std::runtime_error; then the sequence (or the context) is empty, or untouched if forget was not called.
std::vector<std::pair<std::int64_t, CacheStore::Names>> read_state(const StateSource& source, std::int32_t sequence,
                                                                   std::span<const std::byte> from,
                                                                   const std::function<void()>& forget);

/// Size that a state says it has, at most from.size(). Throws std::runtime_error if it is no state of ours.
std::size_t state_bytes(std::span<const std::byte> from);

}  // namespace namm::llama
