#pragma once
#include <cstdint>
#include <vector>

#include "adapters/llama_cpp/store/batch_plan.hpp"

namespace namm::test {

/// An attention mask as llama.cpp builds it: F16, [query][cell], 0 = seen, -inf = not.
class Mask {
 public:
  Mask(int queries, int cells)
      : cells_(static_cast<std::size_t>(cells)), halves_(static_cast<std::size_t>(queries) * cells_, kHidden) {}
  void see(int query, int cell) { at(query, cell) = 0; }
  void hide(int query, int cell) { at(query, cell) = kHidden; }
  bool sees(int query, int cell) const {
    return halves_[static_cast<std::size_t>(query) * cells_ + static_cast<std::size_t>(cell)] == 0;
  }
  /// Query queries[i] sees the cells `before` and own[0..i].
  void causal_rows(const std::vector<std::int32_t>& queries, const std::vector<std::int32_t>& own,
                   const std::vector<std::int32_t>& before) {
    for (std::size_t i = 0; i < queries.size(); ++i) {
      for (const std::int32_t cell : before) see(queries[i], cell);
      for (std::size_t j = 0; j <= i; ++j) see(queries[i], own[j]);
    }
  }
  /// The same for queries 0, 1, 2, ...
  void causal(const std::vector<std::int32_t>& own, const std::vector<std::int32_t>& before = {}) {
    std::vector<std::int32_t> queries(own.size());
    for (std::size_t i = 0; i < own.size(); ++i) queries[i] = static_cast<std::int32_t>(i);
    causal_rows(queries, own, before);
  }
  llama::MaskView view() const { return {halves_.data(), cells_, cells_}; }

 private:
  static constexpr std::uint16_t kHidden = 0xfc00u;
  std::uint16_t& at(int query, int cell) {
    return halves_[static_cast<std::size_t>(query) * cells_ + static_cast<std::size_t>(cell)];
  }
  std::size_t cells_;
  std::vector<std::uint16_t> halves_;
};

}  // namespace namm::test
