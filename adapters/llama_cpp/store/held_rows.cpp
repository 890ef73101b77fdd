// A store whose rows are held elsewhere: what it does in place of writing and attending.
#include <stdexcept>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"
#include "core/probe/token_probe.hpp"

namespace namm::llama {
namespace {

constexpr StatisticSet kHolderKnows = Statistic::key_norm | Statistic::value_norm | Statistic::content;

}  // namespace

std::string why_not_held_elsewhere(const CachePolicy& policy) {
  const std::string_view name = policy.policy ? policy.policy->name() : std::string_view("none");
  const auto refuse = [&](const char* what) {
    return std::string("policy ")
        .append(name)
        .append(": must not ")
        .append(what)
        .append(
            " where the cache is in device memory, does; use streaming, random, knorm or a calibrated policy, or keep the cache "
            "in host memory "
            "(--no-kv-offload, llama_context_params::offload_kqv)");
  };
  if (policy.reads_attention()) return refuse("read attention");
  const ContentReader* const reader = policy.reader();
  if (policy.reads_queries() || policy.observer || (reader && !dynamic_cast<const TokenProbe*>(reader)))
    return refuse("read keys, values or queries in a way of its own");
  return {};
}

void CacheStore::hold_elsewhere(RowHolder* holder) {
  holder_ = holder;
  statistics_.needed = memory_.required().without(kHolderKnows);
  holder_->read_with(memory_.reader());
}

void CacheStore::look_up(int layer, const std::vector<HeadList>& heads, RowNumbers& out) const {
  const StatisticSet needed = memory_.required();
  const auto by_entry = [&](const std::vector<std::vector<float>>& by_slot) {
    std::vector<std::vector<float>> numbers(heads.size());
    for (std::size_t h = 0; h < heads.size(); ++h) {
      const std::shared_ptr<RowSlots> slots = holder_->slots(layer, static_cast<int>(h));
      for (const std::int32_t cell : heads[h].cells())
        numbers[h].push_back(by_slot[h][static_cast<std::size_t>(slots->slot_of(cell))]);
    }
    return numbers;
  };
  if (needed.has(Statistic::key_norm)) out.key_norms = by_entry(holder_->norms(layer, false));
  if (needed.has(Statistic::value_norm)) out.value_norms = by_entry(holder_->norms(layer, true));
  if (needed.has(Statistic::content)) out.contents = by_entry(holder_->contents(layer));
}

void CacheStore::place(int index, std::span<const std::int64_t> cells, const MaskView& mask) {
  Layer& layer = layer_of(index);
  Group& group = *layer.group;
  begin_layer(layer);
  for (const QueryGroup& queries : plan_part(group, 0, mask, cells).groups) {
    auto& heads = group.sequences[sequence_key(0, queries.sequence)].layers[index];
    if (heads.empty()) heads = make_lists(layer.shape);
    for (HeadList& list : heads) {
      list.open(false);
      list.append(queries.cells, queries.positions, {}, {});
    }
  }
  end_layer(group);
}

void CacheStore::tidy() {
  if (holder_) holder_->tidy();
}

void CacheStore::require_own_rows(const char* what) const {
  if (holder_)
    throw std::runtime_error(std::string("KV cache: ") + what +
                             " is not supported where the cache is in device memory; keep it in host memory (--no-kv-offload)");
}

}  // namespace namm::llama
