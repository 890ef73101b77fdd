#include "tests/llama/attention_reference.hpp"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "kernels/half.hpp"

namespace namm::test {
namespace {

const ggml_tensor* root(const ggml_tensor* tensor) {
  while (tensor->view_src) tensor = tensor->view_src;
  return tensor;
}
/// A row as a cache of this type holds it and attention sees it: F16 in the end.
void round_row(ggml_type type, const float* from, float* to, std::size_t count) {
  if (type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0) {
    std::vector<char> packed(ggml_row_size(type, static_cast<std::int64_t>(count)));
    ggml_quantize_chunk(type, from, packed.data(), 0, 1, static_cast<std::int64_t>(count), nullptr);
    ggml_get_type_traits(type)->to_float(packed.data(), to, static_cast<std::int64_t>(count));
  } else {
    std::copy(from, from + count, to);
  }
  for (std::size_t i = 0; i < count; ++i) to[i] = kernels::half_to_float(kernels::float_to_half(to[i]));
}
bool is_cache(const ggml_tensor* tensor, const char* prefix) {
  return std::strncmp(root(tensor)->name, prefix, std::strlen(prefix)) == 0;
}
int layer_of(const ggml_tensor* tensor) {
  return std::atoi(root(tensor)->name + 9);  // behind "cache_k_l"
}
const float* floats(const ggml_tensor* tensor, std::int64_t i1, std::int64_t i2, std::int64_t i3) {
  return reinterpret_cast<const float*>(static_cast<const char*>(tensor->data) + i1 * tensor->nb[1] + i2 * tensor->nb[2] +
                                        i3 * tensor->nb[3]);
}
float parameter(const ggml_tensor* node, int index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

}  // namespace

bool AttentionReference::callback(ggml_tensor* node, bool ask, void* self) {
  const bool write = node->op == GGML_OP_SET_ROWS && (is_cache(node, "cache_k_l") || is_cache(node, "cache_v_l"));
  const bool attention = node->op == GGML_OP_FLASH_ATTN_EXT;
  if (ask) return write || attention;
  auto& reference = *static_cast<AttentionReference*>(self);
  if (write) reference.on_write(node);
  if (attention) reference.on_attention(node);
  return true;
}

void AttentionReference::on_write(const ggml_tensor* node) {
  const ggml_tensor* const rows = node->src[0];
  LayerCache& cache = layers_[layer_of(node)];
  const bool keys = is_cache(node, "cache_k_l");
  auto& numbers = keys ? cache.keys : cache.values;
  const auto width = static_cast<std::size_t>(rows->ne[0]);
  (keys ? cache.key_width : cache.value_width) = width;
  const auto* const cells = static_cast<const std::int64_t*>(node->src[1]->data);
  for (std::int64_t t = 0; t < rows->ne[1]; ++t) {
    const auto at = static_cast<std::size_t>(cells[t]) * width;
    numbers.resize(std::max(numbers.size(), at + width));
    round_row(root(node)->type, floats(rows, t, 0, 0), numbers.data() + at, width);
  }
}

void AttentionReference::on_attention(ggml_tensor* node) {
  const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *mask = node->src[3], *sinks = node->src[4];
  const int layer = layer_of(k);
  const LayerCache& cache = layers_[layer];
  const auto key_size = static_cast<std::size_t>(k->ne[0]), value_size = static_cast<std::size_t>(v->ne[0]);
  const double scale = static_cast<double>(parameter(node, 0)), softcap = static_cast<double>(parameter(node, 2));
  const ggml_tensor* const tensor = root(k);
  const std::int64_t cells = tensor->ne[1];
  const auto first_stream = static_cast<std::int64_t>(k->view_offs / (tensor->nb[1] * static_cast<std::size_t>(cells)));
  const std::int64_t per_group = q->ne[2] / k->ne[2];
  double difference = 0, magnitude = 0, square = 0, square_reference = 0;
  std::vector<double> logits, result(value_size);
  std::vector<std::int64_t> seen;
  for (std::int64_t s = 0; s < k->ne[3]; ++s)
    for (std::int64_t i = 0; i < q->ne[1]; ++i) {
      const auto* const row =
          reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(mask->data) + s * mask->nb[3] + i * mask->nb[1]);
      for (std::int64_t h = 0; h < q->ne[2]; ++h) {
        const auto kv_head = static_cast<std::size_t>(h / per_group);
        const float* const query = floats(q, i, h, s);
        seen.clear();
        logits.clear();
        double top =
            sinks ? static_cast<double>(static_cast<const float*>(sinks->data)[h]) : -std::numeric_limits<double>::infinity();
        const double sink = top;
        for (std::int64_t c = 0; c < mask->ne[0]; ++c) {
          const std::int64_t cell = (first_stream + s) * cells + c;
          if (row[c] == 0xfc00u || (hidden && hidden(layer, static_cast<int>(kv_head), cell))) continue;
          const float* const key = cache.keys.data() + static_cast<std::size_t>(cell) * cache.key_width + kv_head * key_size;
          double dot = 0;
          for (std::size_t d = 0; d < key_size; ++d) dot += static_cast<double>(query[d]) * static_cast<double>(key[d]);
          dot *= scale;
          if (softcap != 0) dot = softcap * std::tanh(dot / softcap);
          logits.push_back(dot);
          seen.push_back(cell);
          top = std::max(top, dot);
        }
        double sum = sinks ? std::exp(sink - top) : 0;
        std::fill(result.begin(), result.end(), 0.0);
        for (std::size_t n = 0; n < seen.size(); ++n) {
          const double weight = std::exp(logits[n] - top);
          sum += weight;
          const float* const value =
              cache.values.data() + static_cast<std::size_t>(seen[n]) * cache.value_width + kv_head * value_size;
          for (std::size_t d = 0; d < value_size; ++d) result[d] += weight * static_cast<double>(value[d]);
        }
        auto* const output = const_cast<float*>(floats(node, h, i, s));
        for (std::size_t d = 0; d < value_size; ++d) {
          const double exact = seen.empty() ? 0 : result[d] / sum;
          const double off = std::abs(static_cast<double>(output[d]) - exact);
          difference = off >= difference || std::isnan(off) ? off : difference;
          magnitude = std::max(magnitude, std::abs(exact));
          square += off * off;
          square_reference += exact * exact;
          if (replace) output[d] = static_cast<float>(exact * (1 + (d % 2 == 0 ? nudge : -nudge)));
        }
      }
    }
  ++nodes;
  const auto take = [](double& most, double x) { most = x >= most || std::isnan(x) ? x : most; };
  take(worst, difference);
  take(worst_relative, difference / magnitude);
  take(worst_of_layer[layer], difference / magnitude);
  mean_square += square / square_reference;
}

double AttentionReference::relative_rms() const {
  return nodes > 0 ? std::sqrt(mean_square / nodes) : 0;
}

}  // namespace namm::test
