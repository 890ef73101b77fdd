// What CallbackMemory does behind a batch: chooses, makes room in the runtime's cache, and counts.
#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "adapters/llama_callback/callback_memory_parts.hpp"
#include "adapters/llama_callback/compaction.hpp"
#include "namm/cache_policy.hpp"

namespace namm::llama {

void CallbackMemory::finish_batch() {
  if (!failure_.empty()) throw std::runtime_error(std::exchange(failure_, {}));
  const std::int64_t before = std::exchange(tokens_finished_, tokens_seen_);
  measure();
  if (before / memory_.interval_tokens != tokens_seen_ / memory_.interval_tokens) update();
}

void CallbackMemory::update() {
  if (!memory_.updates() || cells_.empty()) return;
  std::vector<HeadTokens> heads;
  double bytes = 0;
  for (const Layer& layer : layers_)
    for (std::size_t h = 0; h < layer.heads.size(); ++h) {
      heads.push_back(layer.heads[h].view());
      heads.back().layer = layer.shape.layer;
      heads.back().kv_head = static_cast<int>(h);
      heads.back().tokens_seen = tokens_seen_;
      bytes += static_cast<double>(ggml_row_size(layer.shape.keys->type, static_cast<std::int64_t>(layer.shape.key_size)) +
                                   ggml_row_size(layer.shape.values->type, static_cast<std::int64_t>(layer.shape.value_size)));
    }
  const Selection selection = update_heads(memory_, heads, tokens_seen_, bytes, 0, threads_);
  evict(selection.kept);
  ++usage_.updates;
  usage_.nan_scores += selection.nan_scores;
  measure();
}

void CallbackMemory::evict(const std::vector<std::vector<std::int32_t>>& kept) {
  const std::size_t count = kept.front().size();
  for (const auto& head : kept)
    if (head.size() != count || head.back() + 1 != static_cast<std::int32_t>(cells_.size()))
      throw std::logic_error("uniform selection: heads must keep the same number of tokens and the newest");
  if (count == cells_.size()) return;
  // The lowest cells, so that attention goes over few; and the newest token's, whose position the runtime counts on from.
  std::vector<std::int32_t> into(cells_.begin(), cells_.end() - 1);
  std::sort(into.begin(), into.end());
  into.resize(count - 1);
  into.push_back(cells_.back());
  std::size_t next = 0;
  for (Layer& layer : layers_) {
    compact(layer.shape, cells_, std::span(kept).subspan(next, layer.heads.size()), into);
    for (HeadStatistics& head : layer.heads) head.keep(kept[next++]);
  }
  release(into);
}

void CallbackMemory::release(const std::vector<std::int32_t>& into) {
  std::vector<std::pair<std::int32_t, std::int32_t>> label_of_cell;
  for (std::size_t i = 0; i < cells_.size(); ++i) label_of_cell.emplace_back(cells_[i], labels_[i]);
  std::sort(label_of_cell.begin(), label_of_cell.end());
  std::vector<std::int32_t> stay(into.size()), free;
  std::vector<std::pair<std::int32_t, std::size_t>> wanted;
  for (std::size_t i = 0; i < into.size(); ++i) wanted.emplace_back(into[i], i);
  std::sort(wanted.begin(), wanted.end());
  std::size_t next = 0;
  for (const auto& [cell, label] : label_of_cell) {
    if (next < wanted.size() && wanted[next].first == cell)
      stay[wanted[next++].second] = label;
    else
      free.push_back(label);
  }
  std::sort(free.begin(), free.end());
  llama_memory_t const cache = llama_get_memory(context_);
  for (std::size_t i = 0; i < free.size();) {  // ranges of positions
    std::size_t end = i + 1;
    while (end < free.size() && free[end] == free[end - 1] + 1) ++end;
    if (!llama_memory_seq_rm(cache, 0, free[i], free[end - 1] + 1))
      throw std::runtime_error(
          "llama.cpp: refuses to free cells of the KV cache (llama_memory_seq_rm); use --attachment backend");
    i = end;
  }
  cells_ = into;
  labels_ = std::move(stay);
}

void CallbackMemory::measure() {
  usage_.tokens_seen = tokens_seen_;
  usage_.entries = usage_.entries_full = usage_.kv_bytes = usage_.statistics_bytes = 0;
  for (const Layer& layer : layers_) {
    const auto heads = static_cast<std::int64_t>(layer.heads.size());
    usage_.entries += heads * static_cast<std::int64_t>(cells_.size());
    usage_.entries_full += heads * tokens_seen_;
    usage_.kv_bytes += static_cast<std::int64_t>(ggml_nbytes(layer.shape.keys) + ggml_nbytes(layer.shape.values));
    for (const HeadStatistics& head : layer.heads) usage_.statistics_bytes += static_cast<std::int64_t>(head.bytes());
  }
  usage_.statistics_bytes += static_cast<std::int64_t>((cells_.capacity() + labels_.capacity()) * sizeof(std::int32_t));
  usage_.cells = static_cast<std::int64_t>(cells_.size());
  usage_.cells_peak = std::max(usage_.cells_peak, usage_.cells);
  usage_.cells_allocated = static_cast<std::int64_t>(layout_.cells());
  usage_.kv_bytes_full = usage_.kv_bytes / std::max<std::int64_t>(1, usage_.cells_allocated) * cells_full_;
  usage_.kv_bytes_peak = usage_.kv_bytes;
  usage_.entries_peak = std::max(usage_.entries_peak, usage_.entries);
  usage_.statistics_bytes_peak = std::max(usage_.statistics_bytes_peak, usage_.statistics_bytes);
}

CacheUsage CallbackMemory::usage() const {
  return usage_;
}

}  // namespace namm::llama
