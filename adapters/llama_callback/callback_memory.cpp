#include "adapters/llama_callback/callback_memory.hpp"

#include <ggml.h>
#include <llama.h>

#include <numeric>
#include <stdexcept>

#include "adapters/llama_callback/attention_rows.hpp"
#include "adapters/llama_callback/callback_memory_parts.hpp"
#include "adapters/llama_callback/tensor_rows.hpp"

namespace namm::llama {

using Role = CacheLayout::Role;

namespace {

/// Subject of a message about what the policy or else the observer reads.
std::string who_reads(const CachePolicy& memory, bool policy) {
  return policy ? "policy " + std::string(memory.policy->name()) : "observer " + std::string(memory.observer->name());
}

}  // namespace

CallbackMemory::CallbackMemory() = default;
CallbackMemory::~CallbackMemory() = default;

bool CallbackMemory::callback(ggml_tensor* node, bool ask, void* self) {
  auto& memory = *static_cast<CallbackMemory*>(self);
  try {  // no exception may pass through the runtime, which is C in between
    if (memory.learning_) {
      if (ask) memory.layout_.learn(node);
      return !ask;
    }
    if (!memory.failure_.empty()) return !ask;  // asks for nothing more; finish_batch() tells
    const CacheLayout::Part part = memory.layout_.part_of(node);
    if (ask) return part.role != Role::none && memory.wants(part);
    if (part.role != Role::none) memory.take(part, node);
  } catch (const std::exception& error) {
    memory.failure_ = error.what();
  }
  return !ask;
}

void CallbackMemory::attach(llama_context* context) {
  const llama_model* const model = llama_get_model(context);
  llama_memory_t const cache = llama_get_memory(context);
  if (!cache || llama_model_has_encoder(model)) return;  // nothing is kept from token to token
  if (llama_n_seq_max(context) != 1)
    throw std::runtime_error("context: must be for one sequence to be attached by the callback, is for " +
                             std::to_string(llama_n_seq_max(context)) +
                             ", which would share cells; set n_seq_max to 1 (-np 1), or use --attachment backend");
  if (llama_memory_seq_pos_max(cache, 0) >= 0)
    throw std::invalid_argument("context: must be empty when a memory is attached, holds tokens; attach before the first batch");
  if (llama_model_n_swa(model) > 0)
    throw std::runtime_error(
        "model: a memory policy cannot be attached by the callback: its sliding-window layers have a cache of their own whose "
        "cells are freed by the same positions; use --attachment backend");
  context_ = context;
  learning_ = true;
  llama_token token = 0;
  const int status = llama_decode(context, llama_batch_get_one(&token, 1));
  llama_synchronize(context);
  learning_ = false;
  llama_memory_clear(cache, false);
  if (status != 0)
    throw std::runtime_error("llama.cpp: the first token could not be evaluated, status " + std::to_string(status) +
                             "; see --verbose");
  layout_.finish();
  cells_full_ = static_cast<std::int64_t>(layout_.cells());
  reset({});
}

bool CallbackMemory::needs_probabilities(const CachePolicy& memory) {
  return memory.reads_attention();
}

void CallbackMemory::check(const CachePolicy& memory) {
  const bool evicts = memory.drops();
  if (evicts && memory.selection.mode != SelectionMode::uniform)
    throw std::invalid_argument(
        "--mode: must be uniform where the runtime holds the cache, because all layers and heads share "
        "its cells, is " +
        std::string(to_string(memory.selection.mode)) +
        "; give --mode uniform, or --attachment backend, where every head has its own length");
  if (memory.store != RowFormats())
    throw std::invalid_argument("store: must be f16 where the runtime holds the cache, is " + to_string(memory.store) +
                                "; give --store f16, or --attachment backend");
  if (memory.reads_queries())
    throw std::invalid_argument(
        who_reads(memory, memory.policy && memory.policy->reader() && memory.policy->reader()->reads_queries()) +
        ": reads queries, which the callback does not fetch; give --attachment backend");
}

void CallbackMemory::reset(const CachePolicy& memory) {
  check(memory);
  if (needs_probabilities(memory) && layout_.flash_attention())
    throw std::invalid_argument(
        who_reads(memory, memory.policy && memory.policy->required().reads_attention()) +
        ": reads attention, which flash attention does not show; create the context without it (-fa off)");
  memory_ = memory;
  StatisticsSettings settings;
  settings.spectrogram = memory.spectrogram;
  settings.needed = memory.required();
  const bool reads_content = memory.reads_tokens();
  wants_keys_ = reads_content || settings.needed.has(Statistic::key_norm);
  wants_values_ = reads_content || settings.needed.has(Statistic::value_norm);
  wants_attention_ = needs_probabilities(memory);
  layers_.clear();
  for (const StockLayer& shape : layout_.layers()) {
    layers_.emplace_back();
    layers_.back().shape = shape;
    layers_.back().heads.assign(static_cast<std::size_t>(shape.kv_heads), HeadStatistics(settings));
  }
  cells_.clear();
  labels_.clear();
  positions_.clear();
  tokens_seen_ = tokens_finished_ = 0;
  usage_ = {};
  failure_.clear();
}

bool CallbackMemory::wants(const CacheLayout::Part& part) const {
  switch (part.role) {
    case Role::writes_keys:
      return wants_keys_ || layers_[part.layer].shape.keys == layout_.first_keys();
    case Role::writes_values:
      return wants_values_;
    case Role::attends:
      return wants_attention_;
    case Role::none:
      break;
  }
  return false;
}

void CallbackMemory::take(const CacheLayout::Part& part, const ggml_tensor* node) {
  Layer& layer = layers_[part.layer];
  const StockLayer& shape = layer.shape;
  if (part.role == Role::attends) return observe(layer, node);
  if (shape.keys == layout_.first_keys() && part.role == Role::writes_keys) begin_ubatch(node);
  const bool reads_content = memory_.reads_tokens();
  if (part.role == Role::writes_keys && wants_keys_) {
    const std::size_t width = shape.key_size * static_cast<std::size_t>(shape.kv_heads);
    layer.written.keys = as_cached(shape.keys->type, read_rows(node->src[0], width), width);
    if (reads_content) {
      const float* const plain = plain_keys_.restore(node->src[0]);
      layer.written.plain_keys.assign(plain, plain + layer.written.keys.size());
    }
    layer.keys_there = true;
  }
  if (part.role == Role::writes_values) {
    const std::size_t width = shape.value_size * static_cast<std::size_t>(shape.kv_heads);
    const auto padded = static_cast<std::size_t>(shape.values->ne[0]);
    layer.written.plain_values = read_rows(node->src[0], shape.values_transposed ? 1 : padded);
    drop_padding(layer.written.plain_values, padded, width);
    layer.written.values = as_cached(shape.values->type, layer.written.plain_values, width);
    layer.values_there = true;
  }
  if (!layer.appended && (layer.keys_there || !wants_keys_) && (layer.values_there || !wants_values_)) append(layer);
}

void CallbackMemory::begin_ubatch(const ggml_tensor* write) {
  const std::vector<std::int32_t> cells = read_cells(write);
  positions_.resize(cells.size());
  std::iota(positions_.begin(), positions_.end(), static_cast<std::int32_t>(tokens_seen_));
  tokens_seen_ += static_cast<std::int64_t>(cells.size());
  cells_.insert(cells_.end(), cells.begin(), cells.end());
  labels_.insert(labels_.end(), positions_.begin(), positions_.end());
  for (Layer& layer : layers_) {
    layer.keys_there = layer.values_there = layer.appended = false;
    if (!wants_keys_ && !wants_values_) append(layer);
  }
}

void CallbackMemory::append(Layer& layer) {
  const StockLayer& shape = layer.shape;
  LayerTokens tokens{shape.layer, shape.kv_heads, shape.key_size, shape.value_size, positions_};
  tokens.rotation = plain_keys_.rotation();
  append_tokens(layer.heads, tokens, memory_, layer.written);
  layer.written = {};
  layer.appended = true;
}

void CallbackMemory::observe(Layer& layer, const ggml_tensor* soft_max) {
  Observer* const observer = memory_.observer && memory_.observer->wants_attention() ? memory_.observer.get() : nullptr;
  read_attention(soft_max, layer.shape.kv_heads, cells_, threads_, [&](const HeadRows& rows) {
    HeadStatistics& head = layer.heads[static_cast<std::size_t>(rows.kv_head)];
    const std::int32_t position = positions_[static_cast<std::size_t>(rows.first_row)];
    head.observe(rows.attention, rows.rows, cells_.size(), position);
    if (observer)
      observer->on_attention(
          {layer.shape.layer, rows.kv_head, head.view().positions, rows.attention, rows.rows, cells_.size(), position});
  });
}

std::vector<HeadContent> CallbackMemory::content() const {
  std::vector<HeadContent> out;
  for (const Layer& layer : layers_)
    for (std::size_t h = 0; h < layer.heads.size(); ++h) {
      const auto positions = layer.heads[h].view().positions;
      out.push_back({layer.shape.layer, static_cast<int>(h), {positions.begin(), positions.end()}});
    }
  return out;
}

std::vector<LayerDescription> CallbackMemory::layers() const {
  std::vector<LayerDescription> out;
  for (const StockLayer& layer : layout_.layers())
    out.push_back({layer.layer, layer.kv_heads, static_cast<int>(layer.key_size), static_cast<int>(layer.value_size), 0});
  return out;
}

}  // namespace namm::llama
