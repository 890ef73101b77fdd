#include "adapters/llama_callback/compaction.hpp"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace namm::llama {
namespace {

/// Cells side by side: [first, first + count).
struct Run {
  std::size_t first = 0, count = 0;
};

Run around(std::span<const std::int32_t> cells) {
  const auto [low, high] = std::minmax_element(cells.begin(), cells.end());
  return {static_cast<std::size_t>(*low), static_cast<std::size_t>(*high - *low) + 1};
}

std::vector<Run> runs_of(std::span<const std::int32_t> cells) {
  std::vector<std::int32_t> sorted(cells.begin(), cells.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<Run> out;
  for (const std::int32_t cell : sorted) {
    const auto at = static_cast<std::size_t>(cell);
    if (out.empty() || out.back().first + out.back().count != at) out.push_back({at, 0});
    ++out.back().count;
  }
  return out;
}

/// Cells are rows: copies pieces of `piece` bytes, one per head and cell.
void compact_rows(ggml_tensor* tensor, std::size_t piece, std::span<const std::int32_t> cells,
                  std::span<const std::vector<std::int32_t>> kept, std::span<const std::int32_t> into) {
  const std::size_t row = tensor->nb[1];
  const Run all = around(cells);
  std::vector<std::byte> before(all.count * row);
  ggml_backend_tensor_get(tensor, before.data(), all.first * row, before.size());
  std::vector<std::byte> after = before;
  for (std::size_t h = 0; h < kept.size(); ++h)
    for (std::size_t i = 0; i < into.size(); ++i) {
      const auto from = static_cast<std::size_t>(cells[static_cast<std::size_t>(kept[h][i])]) - all.first;
      const auto to = static_cast<std::size_t>(into[i]) - all.first;
      std::memcpy(after.data() + to * row + h * piece, before.data() + from * row + h * piece, piece);
    }
  for (const Run& run : runs_of(into))
    ggml_backend_tensor_set(tensor, after.data() + (run.first - all.first) * row, run.first * row, run.count * row);
}

/// Cells are columns: one line per head and number of a value.
void compact_columns(ggml_tensor* tensor, std::size_t value_size, std::span<const std::int32_t> cells,
                     std::span<const std::vector<std::int32_t>> kept, std::span<const std::int32_t> into) {
  const std::size_t number = ggml_type_size(tensor->type), line = static_cast<std::size_t>(tensor->ne[1]) * number;
  const std::size_t lines = kept.size() * value_size;
  const Run all = around(cells);
  const std::size_t width = all.count * number;
  std::vector<std::byte> before(lines * width);
  ggml_backend_tensor_get_2d(tensor, before.data(), all.first * number, width, lines, line, width);
  std::vector<std::byte> after = before;
  for (std::size_t l = 0; l < lines; ++l) {
    const std::vector<std::int32_t>& entries = kept[l / value_size];
    for (std::size_t i = 0; i < into.size(); ++i) {
      const auto from = static_cast<std::size_t>(cells[static_cast<std::size_t>(entries[i])]) - all.first;
      const auto to = static_cast<std::size_t>(into[i]) - all.first;
      std::memcpy(after.data() + l * width + to * number, before.data() + l * width + from * number, number);
    }
  }
  for (const Run& run : runs_of(into))
    ggml_backend_tensor_set_2d(tensor, after.data() + (run.first - all.first) * number, run.first * number, run.count * number,
                               lines, line, width);
}

}  // namespace

void compact(const StockLayer& layer, std::span<const std::int32_t> cells, std::span<const std::vector<std::int32_t>> kept,
             std::span<const std::int32_t> into) {
  if (into.empty()) return;
  const auto bytes = [](const ggml_tensor* tensor, std::size_t numbers) {
    return ggml_row_size(tensor->type, static_cast<std::int64_t>(numbers));
  };
  compact_rows(layer.keys, bytes(layer.keys, layer.key_size), cells, kept, into);
  if (layer.values_transposed)
    compact_columns(layer.values, layer.value_size, cells, kept, into);
  else
    compact_rows(layer.values, bytes(layer.values, layer.value_size), cells, kept, into);
}

}  // namespace namm::llama
