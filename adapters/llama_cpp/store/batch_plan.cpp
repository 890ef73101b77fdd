#include "adapters/llama_cpp/store/batch_plan.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/ragged_attention.hpp"

namespace namm::llama {
namespace {

/// Consecutive queries of which each sees exactly what the one before saw, and itself: what causal attention looks like.
struct Run {
  std::size_t begin = 0, end = 0;  ///< queries
  std::size_t group = 0;
};

bool continues(const MaskView& mask, std::size_t query, std::int32_t own) {
  const std::uint16_t* const before = mask.row(query - 1);
  const std::uint16_t* const now = mask.row(query);
  const auto cell = static_cast<std::size_t>(own);
  if (MaskView::sees(before[cell]) || !MaskView::sees(now[cell])) return false;
  return std::memcmp(before, now, cell * sizeof(std::uint16_t)) == 0 &&
         std::memcmp(before + cell + 1, now + cell + 1, (mask.cells - cell - 1) * sizeof(std::uint16_t)) == 0;
}

template <class Visit>
void for_each_seen(const MaskView& mask, std::size_t query, Visit visit) {
  const std::uint16_t* const row = mask.row(query);
  for (std::size_t c = 0; c < mask.cells; ++c)
    if (MaskView::sees(row[c])) visit(c);
}

/// Who sees what, per cell, in the group's own query numbers. `times` counts, to recognise what is not an interval.
void fill_visibility(const MaskView& mask, std::span<const Run> runs, std::size_t group_index,
                     std::span<const std::int32_t> written, QueryGroup& group) {
  group.first.assign(mask.cells, kernels::kNever);
  group.last.assign(mask.cells, -1);
  std::vector<std::int32_t> times(mask.cells, 0);
  const auto see = [&](std::size_t cell, std::int32_t from, std::int32_t to) {
    group.first[cell] = std::min(group.first[cell], from);
    group.last[cell] = to;
    times[cell] += to - from + 1;
  };
  std::int32_t local = 0;
  for (const Run& run : runs) {
    if (run.group != group_index) continue;
    const auto run_last = static_cast<std::int32_t>(local + static_cast<std::int32_t>(run.end - run.begin) - 1);
    for_each_seen(mask, run.begin, [&](std::size_t c) { see(c, local, run_last); });
    for (std::size_t q = run.begin + 1; q < run.end; ++q)
      see(static_cast<std::size_t>(written[q]), local + static_cast<std::int32_t>(q - run.begin), run_last);
    local = run_last + 1;
  }
  group.seen = static_cast<std::int32_t>(std::count(group.last.begin(), group.last.end(), local - 1));
  bool intervals = true;
  for (std::size_t c = 0; c < mask.cells; ++c)
    intervals = intervals && (times[c] == 0 || times[c] == group.last[c] - group.first[c] + 1);
  if (intervals) return;
  group.dense.assign(group.queries.size() * mask.cells, 0);
  for (std::size_t i = 0; i < group.queries.size(); ++i)
    for_each_seen(mask, static_cast<std::size_t>(group.queries[i]), [&](std::size_t c) { group.dense[i * mask.cells + c] = 1; });
}

void add_query(QueryGroup& group, std::size_t query, std::int32_t cell, CellMap& cells) {
  const std::int32_t position = ++cells.newest[static_cast<std::size_t>(group.sequence)];
  group.queries.push_back(static_cast<std::int32_t>(query));
  group.cells.push_back(cell);
  group.positions.push_back(position);
  cells.give(static_cast<std::size_t>(cell), group.sequence, position);
}

std::int32_t newest_before_batch(CellMap& cells, std::int32_t sequence) {
  for (const auto& [known, newest] : cells.before)
    if (known == sequence) return newest;
  return cells.before.emplace_back(sequence, cells.newest[static_cast<std::size_t>(sequence)]).second;
}

/// The runtime removed the end of the sequence: what lies behind `newest_seen` goes.
void cut(CellMap& cells, std::int32_t sequence, std::int32_t newest_seen, BatchPlan& plan) {
  for (std::size_t c = 0; c < cells.owner.size(); ++c) {
    if (cells.owner[c] != sequence || cells.position[c] <= newest_seen) continue;
    cells.take(c);
    plan.reused.emplace_back(sequence, static_cast<std::int32_t>(c));
  }
  cells.newest[static_cast<std::size_t>(sequence)] = newest_seen;
}

/// What a query sees belongs to its sequence or is written with this batch: anything else was brought into the runtime's cache
/// past the store, or is left there of a batch that was broken off.
void refuse_unread(const MaskView& mask, std::size_t query, std::span<const std::int32_t> written, const CellMap& cells) {
  for_each_seen(mask, query, [&](std::size_t c) {
    if (cells.owner[c] != CellMap::kNobody ||
        std::find(written.begin(), written.end(), static_cast<std::int32_t>(c)) != written.end())
      return;
    throw std::runtime_error(
        "KV cache: a sequence must go on behind tokens that the store has read, goes on behind others (of a copy or a state "
        "restored by llama.cpp's own functions, or of a batch that was broken off); remove the sequence and read it again");
  });
}

}  // namespace

void CellMap::grow(std::size_t cells) {
  if (owner.size() >= cells) return;
  owner.reserve(cells);  // both or none
  position.reserve(cells);
  owner.resize(cells, kNobody);
  position.resize(cells, -1);
}

void CellMap::give(std::size_t cell, std::int32_t sequence, std::int32_t at) {
  owner[cell] = sequence;
  position[cell] = at;
  ++held[static_cast<std::size_t>(sequence)];
}

void CellMap::take(std::size_t cell) {
  if (owner[cell] == kNobody) return;
  --held[static_cast<std::size_t>(owner[cell])];
  owner[cell] = kNobody;
}

BatchPlan plan_batch(const MaskView& mask, std::span<const std::int32_t> written, CellMap& cells) {
  BatchPlan plan;
  cells.grow(mask.cells);
  for (const std::int32_t cell : written) {
    cells.grow(static_cast<std::size_t>(cell) + 1);
    const std::int32_t owner = cells.owner[static_cast<std::size_t>(cell)];
    if (owner != CellMap::kNobody) plan.reused.emplace_back(owner, cell);
    cells.take(static_cast<std::size_t>(cell));
  }

  std::vector<Run> runs;
  for (std::size_t q = 0; q < written.size(); ++q) {
    if (!runs.empty() && continues(mask, q, written[q])) {
      ++runs.back().end;
      ++plan.groups[runs.back().group].places.back().last;
      add_query(plan.groups[runs.back().group], q, written[q], cells);
      continue;
    }
    std::int32_t sequence = CellMap::kNobody, newest_seen = -1, place = -1;
    refuse_unread(mask, q, written, cells);
    for_each_seen(mask, q, [&](std::size_t c) {
      ++place;
      const std::int32_t owner = cells.owner[c];
      if (owner == CellMap::kNobody) return;
      if (sequence != CellMap::kNobody && owner != sequence)
        throw std::runtime_error(
            "KV cache: a query sees cells of two sequences that were filled apart; a memory policy needs one list per sequence; "
            "do not copy a sequence (llama_memory_seq_cp) onto one that already has tokens");
      sequence = owner;
      newest_seen = std::max(newest_seen, cells.position[c]);
    });
    if (sequence == CellMap::kNobody) {
      sequence = static_cast<std::int32_t>(cells.newest.size());
      cells.newest.push_back(-1);
      cells.held.push_back(0);
    }
    const std::int32_t before = newest_before_batch(cells, sequence);
    if (newest_seen < cells.newest[static_cast<std::size_t>(sequence)]) {
      if (cells.cuts && newest_seen < before && !cells.branched.contains(sequence))
        cut(cells, sequence, newest_seen, plan);
      else
        cells.branched.insert(sequence);
    }
    std::size_t g = 0;
    while (g < plan.groups.size() && plan.groups[g].sequence != sequence) ++g;
    if (g == plan.groups.size()) plan.groups.emplace_back().sequence = sequence;
    add_query(plan.groups[g], q, written[q], cells);
    plan.groups[g].places.push_back({place, place});
    runs.push_back({q, q + 1, g});
  }
  for (std::size_t g = 0; g < plan.groups.size(); ++g) fill_visibility(mask, runs, g, written, plan.groups[g]);
  return plan;
}

}  // namespace namm::llama
