#include "adapters/llama_callback/attention_rows.hpp"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "base/threads.hpp"

namespace namm::llama {
namespace {

constexpr std::size_t kTileBytes = std::size_t{16} << 20;  // of probabilities held at once, all heads together

/// Mean over the heads of a group, for the cells asked for.
void average(const float* group, std::size_t heads, std::size_t rows, std::size_t width, std::span<const std::int32_t> cells,
             std::vector<float>& out) {
  out.resize(rows * cells.size());
  const float share = 1.0f / static_cast<float>(heads);
  for (std::size_t row = 0; row < rows; ++row) {
    float* const to = out.data() + row * cells.size();
    const float* const first = group + row * width;
    for (std::size_t e = 0; e < cells.size(); ++e) to[e] = first[cells[e]];
    for (std::size_t h = 1; h < heads; ++h) {
      const float* const from = group + (h * rows + row) * width;
      for (std::size_t e = 0; e < cells.size(); ++e) to[e] += from[cells[e]];
    }
    for (std::size_t e = 0; e < cells.size(); ++e) to[e] *= share;
  }
}

}  // namespace

void read_attention(const ggml_tensor* soft_max, int kv_heads, std::span<const std::int32_t> cells, int threads,
                    const std::function<void(const HeadRows&)>& visit) {
  const auto width = static_cast<std::size_t>(soft_max->ne[0]), queries = static_cast<std::size_t>(soft_max->ne[1]);
  const auto query_heads = static_cast<std::size_t>(soft_max->ne[2]),
             per_group = query_heads / static_cast<std::size_t>(kv_heads);
  const std::size_t tile = std::clamp<std::size_t>(kTileBytes / (width * query_heads * sizeof(float)), 1, queries);
  std::vector<float> probabilities(query_heads * tile * width);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(kv_heads));
  [[maybe_unused]] const int team = usable_threads(threads);
  for (std::size_t begin = 0; begin < queries; begin += tile) {
    const std::size_t rows = std::min(tile, queries - begin);
    for (std::size_t h = 0; h < query_heads; ++h)
      ggml_backend_tensor_get(soft_max, probabilities.data() + h * rows * width, h * soft_max->nb[2] + begin * soft_max->nb[1],
                              rows * width * sizeof(float));
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int head = 0; head < kv_heads; ++head) {
      const auto h = static_cast<std::size_t>(head);
      try {
        std::vector<float> mean;
        average(probabilities.data() + h * per_group * rows * width, per_group, rows, width, cells, mean);
        visit({head, static_cast<int>(begin), static_cast<int>(rows), mean});
      } catch (...) {  // may not leave the parallel region
        errors[h] = std::current_exception();
      }
    }
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }
}

}  // namespace namm::llama
