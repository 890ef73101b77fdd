#include "tests/llama/double_model.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/half.hpp"

namespace namm::test {
namespace {

using Row = std::vector<double>;

Row times(const std::vector<float>& matrix, const Row& in) {
  Row out(matrix.size() / in.size(), 0.0);
  for (std::size_t o = 0; o < out.size(); ++o)
    for (std::size_t i = 0; i < in.size(); ++i) out[o] += static_cast<double>(matrix[o * in.size() + i]) * in[i];
  return out;
}

Row normed(const Row& x, const std::vector<float>& weight) {
  double square = 0;
  for (const double v : x) square += v * v;
  const double scale = 1 / std::sqrt(square / static_cast<double>(x.size()) + static_cast<double>(1e-5f));
  Row out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * static_cast<double>(weight[i]);
  return out;
}

void rotate(Row& heads, std::size_t head_size, std::size_t position) {
  for (std::size_t i = 0; i < heads.size(); i += 2) {
    const double power = static_cast<double>(i % head_size) / static_cast<double>(head_size);
    const double angle = static_cast<double>(position) * std::pow(10000.0, -power);
    const double a = heads[i], b = heads[i + 1];
    heads[i] = a * std::cos(angle) - b * std::sin(angle);
    heads[i + 1] = a * std::sin(angle) + b * std::cos(angle);
  }
}

void round_to_halves(Row& row) {
  for (double& x : row) x = static_cast<double>(kernels::half_to_float(kernels::float_to_half(static_cast<float>(x))));
}

Row attention(const Row& query, const std::vector<Row>& keys, const std::vector<Row>& values, const TinyShape& shape) {
  const auto size = static_cast<std::size_t>(shape.head_size);
  Row out(query.size(), 0.0);
  for (std::size_t h = 0; h < static_cast<std::size_t>(shape.query_heads); ++h) {
    const std::size_t from = h * static_cast<std::size_t>(shape.kv_heads) / static_cast<std::size_t>(shape.query_heads) * size;
    Row weights(keys.size(), 0.0);
    for (std::size_t t = 0; t < keys.size(); ++t)
      for (std::size_t d = 0; d < size; ++d) weights[t] += query[h * size + d] * keys[t][from + d];
    const double top = *std::max_element(weights.begin(), weights.end());
    double sum = 0;
    for (double& w : weights) sum += w = std::exp((w - top) / std::sqrt(static_cast<double>(size)));
    for (std::size_t t = 0; t < keys.size(); ++t)
      for (std::size_t d = 0; d < size; ++d) out[h * size + d] += weights[t] / sum * values[t][from + d];
  }
  return out;
}

void add(Row& to, const Row& what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += what[i];
}

}  // namespace

std::vector<std::vector<float>> double_logits(const TinyShape& shape, const TinyWeights& weights,
                                              const std::vector<std::int32_t>& tokens) {
  const auto width = static_cast<std::size_t>(shape.width());
  std::vector<std::vector<Row>> keys(static_cast<std::size_t>(shape.layers)), values(keys.size());
  std::vector<std::vector<float>> out;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const float* const embedding = weights.at("token_embd.weight").data() + static_cast<std::size_t>(tokens[t]) * width;
    Row x(embedding, embedding + width);
    for (std::size_t l = 0; l < keys.size(); ++l) {
      const auto weight = [&](const char* name) -> const std::vector<float>& {
        return weights.at("blk." + std::to_string(l) + "." + name + ".weight");
      };
      const Row in = normed(x, weight("attn_norm"));
      Row query = times(weight("attn_q"), in), key = times(weight("attn_k"), in), value = times(weight("attn_v"), in);
      rotate(query, static_cast<std::size_t>(shape.head_size), t);
      rotate(key, static_cast<std::size_t>(shape.head_size), t);
      round_to_halves(key);
      round_to_halves(value);
      keys[l].push_back(std::move(key));
      values[l].push_back(std::move(value));
      add(x, times(weight("attn_output"), attention(query, keys[l], values[l], shape)));
      const Row middle = normed(x, weight("ffn_norm"));
      Row gate = times(weight("ffn_gate"), middle);
      const Row up = times(weight("ffn_up"), middle);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      add(x, times(weight("ffn_down"), gate));
    }
    const Row logits = times(weights.at("output.weight"), normed(x, weights.at("output_norm.weight")));
    out.emplace_back(logits.begin(), logits.end());
  }
  return out;
}

}  // namespace namm::test
