#include "host/host.hpp"

#include <stdexcept>

#include "kernels/row_format.hpp"

namespace namm {

double HostDescription::bytes_per_token() const {
  double out = 0;
  for (const LayerDescription& layer : cached)
    out += layer.kv_heads * (layer.key_size + layer.value_size) * cache_bytes_per_number;
  return out;
}

std::int64_t HostDescription::cached_heads() const {
  std::int64_t out = 0;
  for (const LayerDescription& layer : cached) out += layer.kv_heads;
  return out;
}

double HostDescription::compression(const RowFormats& store) const {
  double halves = 0, held = 0;
  for (const LayerDescription& layer : cached) {
    const auto keys = static_cast<std::size_t>(layer.key_size), values = static_cast<std::size_t>(layer.value_size);
    halves += layer.kv_heads * 2.0 * static_cast<double>(keys + values);
    held += layer.kv_heads * static_cast<double>(kernels::row_bytes(store.keys, keys) + kernels::row_bytes(store.values, values));
  }
  return held > 0 ? halves / held : 1;
}

void Host::branch(const Snapshot&, std::span<const HeadContent>) {
  throw std::invalid_argument("host: cannot go on from a snapshot; use a fitness that needs none");
}

std::vector<std::vector<double>> Host::branch_log_likelihoods(const Snapshot& from,
                                                              std::span<const std::vector<HeadContent>> branches,
                                                              std::span<const Token> question, std::span<const Token> answer) {
  std::vector<std::vector<double>> out;
  for (const std::vector<HeadContent>& kept : branches) {
    branch(from, kept);
    if (!question.empty()) evaluate(question);
    out.push_back(log_likelihood(answer));
  }
  return out;
}

}  // namespace namm
