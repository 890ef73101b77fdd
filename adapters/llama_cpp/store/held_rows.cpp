// A store whose rows are held elsewhere: what it does in place of writing and attending.
#include <algorithm>
#include <stdexcept>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"
#include "base/first_error.hpp"
#include "base/threads.hpp"
#include "core/probe/token_probe.hpp"

namespace namm::llama {
namespace {

/// So few tokens that all their rows of attention are handed over, and wait in the lists (HeadList::observe_later).
constexpr std::size_t kRowsWait = 16;

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
            " where the cache is in device memory, does; use a calibrated policy or one that reads sums of attention (h2o, "
            "snapkv), or keep the cache "
            "in host memory "
            "(--no-kv-offload, llama_context_params::offload_kqv)");
  };
  if (policy.observer) return refuse("have an observer");
  if (policy.required().has(Statistic::spectrogram)) return refuse("read every row of attention");
  const ContentReader* const reader = policy.reader();
  if (policy.reads_queries() || (reader && !dynamic_cast<const TokenProbe*>(reader)))
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
      list.open(statistics_.needed.reads_attention() && cells.size() > kRowsWait);
      list.append(queries.cells, queries.positions, {}, {});
    }
  }
  end_layer(group);
}

WantedAttention CacheStore::wanted_attention(int index) const {
  WantedAttention out;
  const StatisticSet needed = statistics_.needed;
  if (!needed.reads_attention()) return out;
  std::size_t tokens = 0, newest = needed.has(Statistic::last_row) ? 1 : 0;
  if (needed.has(Statistic::window_mean)) newest = static_cast<std::size_t>(statistics_.window_queries);
  const std::vector<QueryGroup>& groups = layer_of(index).group->plans.at(0).groups;
  for (const QueryGroup& queries : groups) tokens += queries.queries.size();
  if (tokens <= kRowsWait) newest = tokens;
  for (const QueryGroup& queries : groups)
    out.queries.insert(out.queries.end(),
                       queries.queries.end() - static_cast<std::ptrdiff_t>(std::min(newest, queries.queries.size())),
                       queries.queries.end());
  std::sort(out.queries.begin(), out.queries.end());
  out.sums = tokens > kRowsWait && needed.has(Statistic::accumulated);
  return out;
}

void CacheStore::observe(int index, const SlotAttention& attention) {
  Layer& layer = layer_of(index);
  const WantedAttention wanted = wanted_attention(index);
  const std::vector<QueryGroup>& groups = layer.group->plans.at(0).groups;
  std::size_t tokens = 0;
  for (const QueryGroup& queries : groups) tokens += queries.queries.size();
  const float share = 1.0f / static_cast<float>(attention.group);
  for (const QueryGroup& queries : groups) {
    std::vector<std::size_t> rows;  // of this sequence, among those wanted
    for (std::size_t r = 0; r < wanted.queries.size(); ++r)
      if (std::binary_search(queries.queries.begin(), queries.queries.end(), wanted.queries[r])) rows.push_back(r);
    auto& heads = layer.group->sequences.at(sequence_key(0, queries.sequence)).layers.at(index);
    const auto count = static_cast<std::int64_t>(heads.size());
    [[maybe_unused]] const int threads = usable_threads(threads_);
    FirstError error;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (std::int64_t i = 0; i < count; ++i)
      error.guard([&] {
        const auto h = static_cast<std::size_t>(i);
        HeadList& list = heads[h];
        const std::shared_ptr<RowSlots> slots = holder_->slots(index, static_cast<int>(h));
        const auto by_entry = [&](const float* by_slot, float* to) {
          for (const std::int32_t cell : list.cells()) *to++ = by_slot[slots->slot_of(cell)] * share;
        };
        std::vector<float> matrix(rows.size() * list.size()), sums(wanted.sums ? list.size() : 0);
        for (std::size_t r = 0; r < rows.size(); ++r)
          by_entry(attention.rows.data() + (h * wanted.queries.size() + rows[r]) * attention.slots,
                   matrix.data() + r * list.size());
        if (tokens <= kRowsWait)
          return list.observe_later(std::move(matrix), static_cast<int>(rows.size()), queries.positions.front());
        if (wanted.sums) by_entry(attention.sums.data() + h * attention.slots, sums.data());
        list.statistics().observe_sums_of(sums, static_cast<int>(queries.queries.size()), matrix, static_cast<int>(rows.size()),
                                          list.size());
      });
    error.rethrow();
  }
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
