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

}  // namespace

std::string why_not_held_elsewhere(const CachePolicy& policy) {
  const std::string_view name = policy.policy ? policy.policy->name() : std::string_view("none");
  const auto refuse = [&](const char* what) {
    return std::string("policy ")
        .append(name)
        .append(": must not ")
        .append(what)
        .append(
            " where the cache is in device memory, does; use a policy that reads statistics of attention or a probe of keys and "
            "values, or keep the cache in host memory (--no-kv-offload, llama_context_params::offload_kqv)");
  };
  if (policy.store != RowFormats())
    return "store: must be f16 where the cache is in device memory, is " + to_string(policy.store) +
           "; give f16 (--store f16, with_store(\"f16\")), or keep the cache in host memory (--no-kv-offload, "
           "llama_context_params::offload_kqv)";
  if (policy.observer) return refuse("have an observer");
  const ContentReader* const reader = policy.reader();
  if (policy.reads_queries() || (reader && !dynamic_cast<const TokenProbe*>(reader)))
    return refuse("read keys, values or queries in a way of its own");
  return {};
}

void CacheStore::hold_elsewhere(RowHolder* holder) {
  holder_ = holder;
  holder_->read_with(memory_.reader());
}

void CacheStore::look_up(int layer, const std::vector<HeadList>& heads, RowNumbers& out) const {
  const StatisticSet needed = memory_.required();
  const auto by_entry = [&](const std::vector<std::vector<float>>& by_slot) {
    std::vector<std::vector<float>> numbers(heads.size());
    for (std::size_t h = 0; h < heads.size(); ++h) {
      for (std::size_t e = 0; e < heads[h].size(); ++e)
        numbers[h].push_back(by_slot[h][static_cast<std::size_t>(heads[h].slot_of(e))]);
    }
    return numbers;
  };
  if (needed.has(Statistic::key_norm)) out.key_norms = by_entry(holder_->norms(layer, false));
  if (needed.has(Statistic::value_norm)) out.value_norms = by_entry(holder_->norms(layer, true));
  if (needed.has(Statistic::content)) out.contents = by_entry(holder_->contents(layer));
}

void CacheStore::place(int index, std::span<const std::int64_t> cells, int first_stream, std::span<const MaskView> masks) {
  Layer& layer = layer_of(index);
  Group& group = *layer.group;
  begin_layer(layer);
  const std::size_t per_stream = cells.size() / masks.size();
  for (std::size_t s = 0; s < masks.size(); ++s) {
    const int stream = first_stream + static_cast<int>(s);
    for (const QueryGroup& queries : plan_part(group, stream, masks[s], cells.subspan(s * per_stream, per_stream)).groups) {
      auto& heads = group.sequences[sequence_key(stream, queries.sequence)].layers[index];
      if (heads.empty()) heads = make_lists(layer.shape, stream * static_cast<std::int64_t>(group.cells_per_stream));
      for (HeadList& list : heads) {
        list.open(statistics_.needed.reads_attention() && cells.size() > kRowsWait);
        list.append(queries.cells, queries.positions, {}, {});
      }
    }
  }
  end_layer(group);
}

std::vector<CacheStore::PlacedGroup> CacheStore::placed_groups(const Group& group) const {
  std::vector<PlacedGroup> out;
  std::size_t tokens = 0;
  for (const auto& [stream, plan] : group.plans) {
    const auto first = static_cast<std::int32_t>(tokens);
    for (const QueryGroup& queries : plan.groups) {
      out.push_back({&queries, sequence_key(stream, queries.sequence), first, 0});
      tokens += queries.queries.size();
    }
  }
  for (PlacedGroup& placed : out) placed.tokens = tokens;
  return out;
}

WantedAttention CacheStore::wanted_attention(int index) const {
  WantedAttention out;
  const StatisticSet needed = statistics_.needed;
  if (!needed.reads_attention()) return out;
  out.decay = statistics_.spectrogram.decay_per_frame();
  const Group& group = *layer_of(index).group;
  for (const PlacedGroup& placed : placed_groups(group)) {
    const std::vector<std::int32_t>& queries = placed.queries->queries;
    const auto count = static_cast<int>(queries.size());
    const bool few = placed.tokens <= kRowsWait;
    // heads of a sequence have seen the same queries
    const HeadStatistics& statistics = group.sequences.at(placed.key).layers.at(index).front().statistics();
    const RowsAtHand rows = few ? RowsAtHand{0, count, 0, 0} : statistics.rows_wanted(count);
    for (int i = 0; i < count; ++i)
      if (i < rows.first || i >= count - rows.newest) out.queries.push_back(placed.first + queries[static_cast<std::size_t>(i)]);
    if (rows.hops > 0) {
      auto& hops = out.hops.emplace_back();
      for (int i = rows.hops_from; i < rows.hops_from + kHop * rows.hops; ++i)
        hops.push_back(placed.first + queries[static_cast<std::size_t>(i)]);
    }
    out.sums = !few && needed.has(Statistic::accumulated);
  }
  std::sort(out.queries.begin(), out.queries.end());
  return out;
}

void CacheStore::observe(int index, const SlotAttention& attention) {
  Layer& layer = layer_of(index);
  const WantedAttention wanted = wanted_attention(index);
  const float share = 1.0f / static_cast<float>(attention.group);
  std::size_t with_frames = 0;
  for (const PlacedGroup& placed : placed_groups(*layer.group)) {
    const QueryGroup& queries = *placed.queries;
    std::vector<std::size_t> rows;  // of this sequence, among those wanted
    for (const std::int32_t query : queries.queries) {
      const auto found = std::lower_bound(wanted.queries.begin(), wanted.queries.end(), placed.first + query);
      if (found != wanted.queries.end() && *found == placed.first + query)
        rows.push_back(static_cast<std::size_t>(found - wanted.queries.begin()));
    }
    auto& heads = layer.group->sequences.at(placed.key).layers.at(index);
    const auto count = static_cast<std::int64_t>(heads.size());
    const bool few = placed.tokens <= kRowsWait;
    const bool framed = !few && heads.front().statistics().rows_wanted(static_cast<int>(queries.queries.size())).hops > 0;
    const std::span<const float> frames_of_all = framed ? attention.frames.at(with_frames++) : std::span<const float>();
    [[maybe_unused]] const int threads = usable_threads(threads_);
    FirstError error;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (std::int64_t i = 0; i < count; ++i)
      error.guard([&] {
        const auto h = static_cast<std::size_t>(i);
        HeadList& list = heads[h];
        const auto by_entry = [&](const float* by_slot, float* to) {
          for (std::size_t e = 0; e < list.size(); ++e) to[e] = by_slot[list.slot_of(e)] * share;
        };
        std::vector<float> matrix(rows.size() * list.size()), sums(wanted.sums ? list.size() : 0);
        for (std::size_t r = 0; r < rows.size(); ++r)
          by_entry(attention.rows.data() + (h * wanted.queries.size() + rows[r]) * attention.slots,
                   matrix.data() + r * list.size());
        if (few) return list.observe_later(std::move(matrix), static_cast<int>(rows.size()), queries.positions.front());
        if (wanted.sums) by_entry(attention.sums.data() + h * attention.slots, sums.data());
        std::vector<float> frames(framed ? list.size() * kBins : 0);
        for (std::size_t e = 0; framed && e < list.size(); ++e) {
          const float* const from =
              frames_of_all.data() + (h * attention.slots + static_cast<std::size_t>(list.slot_of(e))) * kBins;
          for (std::size_t k = 0; k < kBins; ++k) frames[e * kBins + k] = from[k] * share;
        }
        list.statistics().observe_part({static_cast<int>(queries.queries.size()), sums, matrix, list.size(), frames});
      });
    error.rethrow();
  }
}

/// Of a sequence that was restored or copied: slots are taken, and its rows put there.
void CacheStore::put_rows(const Group& group, int stream, Sequence& sequence) {
  const auto first_cell = static_cast<std::int32_t>(stream * static_cast<std::int64_t>(group.cells_per_stream));
  for (auto& [index, lists] : sequence.layers)
    for (std::size_t h = 0; h < lists.size() && layer_of(index).shape.elsewhere; ++h) {
      const auto head = static_cast<int>(h);
      const std::vector<std::byte> rows = lists[h].take_slots(RowLease(holder_->slots(index, head), first_cell));
      holder_->write_rows(index, head, lists[h].slots(), rows);
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
