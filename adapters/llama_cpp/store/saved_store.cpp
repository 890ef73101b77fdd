// A store's sequences as bytes, for saved sessions. Layout:
//   fingerprint of policy and statistics; layers: index, heads, sizes; parts
//   a part (one cache, one stream):  lowest layer, rows n, [n] sequence or -1, [n] position, sequences
//   a sequence:  number, names, exact_from, oldest_seen, peak, its number in the first part; lists by layer and head
//   (saved_list.cpp)
// Cells are rows here: the runtime gives a restored token any free cell.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"
#include "base/bytes.hpp"
#include "base/fingerprint.hpp"
#include "base/json_limits.hpp"

namespace namm::llama {

namespace {

constexpr std::int32_t kMostPosition = 1 << 30;  // as many tokens may follow before they are more than can be counted

constexpr std::string_view kInDevice = ", in device memory";  // of a fingerprint

[[noreturn]] void damaged(const std::string& what) {
  throw std::runtime_error(std::string("saved state: ").append(what).append("; the file is damaged, save it again"));
}

}  // namespace

/// Of a store with layers in device memory: which, and as what.
std::string CacheStore::held_as() const {
  if (!holder_) return {};
  std::string out(kInDevice), which;
  for (const auto& [index, layer] : layers_)
    if (layer->shape.elsewhere) which += (which.empty() ? " layers " : ",") + std::to_string(index);
  if (holder_->row_types() != "f16") out += " as " + holder_->row_types();
  const bool all = std::all_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer.second->shape.elsewhere; });
  return all ? out : out + which;
}

/// What statistics and lists were made by; two policies with different weights differ.
std::string CacheStore::fingerprint() const {
  std::string held = memory_.store == RowFormats() ? "" : ", held as " + to_string(memory_.store);
  held += held_as();
  if (!memory_.policy) return "full" + held;
  const std::string_view name = memory_.policy->name();
  const nlohmann::json made_by = {memory_.policy->to_json(), memory_.spectrogram.decay, statistics_.window_queries};
  return std::string(name) + " " + namm::fingerprint(made_by.dump()) + held;
}

double CacheStore::runtime_bytes() const {
  double sum = 0;
  for (const auto& [index, layer] : layers_) {
    const LayerShape& shape = layer->shape;
    sum += static_cast<double>(layer->group->cells_per_stream) * streams_ * shape.kv_heads *
           (static_cast<double>(shape.key_size) * shape.key_bytes + static_cast<double>(shape.value_size) * shape.value_bytes);
  }
  return sum;
}

void CacheStore::write_group(ByteWriter& out, const Group& group, const SavedRows& rows,
                             const std::function<Names(std::int64_t)>& names_of) const {
  const auto lowest = std::find_if(layers_.begin(), layers_.end(), [&](const auto& l) { return l.second->group == &group; });
  out.number<std::int32_t>(lowest->first);
  out.number<std::uint64_t>(rows.cells.size());
  const auto map = group.cells.find(rows.stream);
  std::vector<std::int32_t> owner(rows.cells.size(), CellMap::kNobody), position(rows.cells.size(), -1), row_of_cell, sequences;
  for (std::size_t i = 0; i < rows.cells.size() && map != group.cells.end(); ++i) {
    const auto cell = static_cast<std::size_t>(rows.cells[i]);
    if (cell >= map->second.owner.size()) continue;
    owner[i] = map->second.owner[cell];
    position[i] = map->second.position[cell];
    row_of_cell.resize(std::max(row_of_cell.size(), cell + 1), -1);
    row_of_cell[cell] = static_cast<std::int32_t>(i);
    if (owner[i] != CellMap::kNobody && std::find(sequences.begin(), sequences.end(), owner[i]) == sequences.end() &&
        group.sequences.contains(sequence_key(rows.stream, owner[i])))
      sequences.push_back(owner[i]);
  }
  out.numbers(owner);
  out.numbers(position);
  out.number<std::uint64_t>(sequences.size());
  for (const std::int32_t number : sequences) {
    const std::int64_t key = sequence_key(rows.stream, number);
    const Sequence& sequence = group.sequences.at(key);
    out.number<std::int32_t>(number);
    std::int32_t primary_number = -1;
    if (const Group* const first = primary(); first != &group)
      for (const auto& [first_key, other] : first->sequences)
        for (const auto& [peer_group, peer] : other.peers)
          if (peer_group == &group && peer == key) primary_number = sequence_of(first_key);
    const Names names = primary_number < 0 ? names_of(key) : Names();
    out.number<std::uint64_t>(names.size());
    out.numbers(names);
    out.number<std::int64_t>(sequence.exact_from);
    out.number<std::int64_t>(sequence.kv_bytes_peak);
    out.number<std::int32_t>(sequence.oldest_seen);
    out.number<std::int32_t>(primary_number);
    // cells of other sequences have rows, too, but no list of this one holds them
    for (const auto& [index, layer] : layers_) {
      if (layer->group != &group) continue;
      const auto lists = sequence.layers.find(index);
      const bool none = lists == sequence.layers.end() || lists->second.empty();
      const std::vector<HeadList> empty = none ? make_lists(layer->shape) : std::vector<HeadList>();
      int head = 0;
      for (const HeadList& list : none ? empty : lists->second) {
        // where bytes are only counted, rows need not come from a device
        const auto read = [&, h = head++, i = index](std::span<const std::int32_t> slots) {
          return out.target() ? holder_->read_rows(i, h, slots) : std::vector<std::byte>(slots.size() * holder_->row_bytes(i));
        };
        list.save(out, row_of_cell, read);
      }
    }
  }
}

void CacheStore::save(ByteWriter& out, std::span<const SavedRows> rows,
                      const std::function<Names(std::int64_t)>& names_of) const {
  out.text(fingerprint());
  out.number<std::uint64_t>(layers_.size());
  for (const auto& [index, layer] : layers_) {
    out.number<std::int32_t>(index);
    out.number<std::int32_t>(layer->shape.kv_heads);
    out.number<std::uint64_t>(layer->shape.key_size);
    out.number<std::uint64_t>(layer->shape.value_size);
  }
  out.number<std::uint64_t>(rows.size());
  for (const SavedRows& part : rows) {
    const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g->id == part.group; });
    if (group == groups_.end()) throw std::logic_error("KV cache: a saved state has rows of an unknown cache");
    write_group(out, **group, part, names_of);
  }
}

std::shared_ptr<SavedStore> CacheStore::read(ByteReader& in) const {
  const std::string saved_by = in.text(), own = fingerprint();
  const bool on_device = saved_by.find(kInDevice) != std::string::npos;
  if (on_device != (holder_ != nullptr) && saved_by.substr(0, saved_by.find(kInDevice)) == own.substr(0, own.find(kInDevice)))
    throw std::runtime_error(std::string("saved state: must be of a cache in ") + (holder_ ? "device" : "host") +
                             " memory, as the one here is, is of one in " + (holder_ ? "host" : "device") +
                             " memory; keep the cache where it was (--no-kv-offload or not), or begin anew");
  if (saved_by != own)
    throw std::runtime_error("saved state: must have been saved with the policy attached now (" + own + "), was with " +
                             detail::one_line(saved_by) + "; attach that policy, or begin anew");
  if (in.number<std::uint64_t>() != layers_.size())
    throw std::runtime_error("saved state: must be of this model, has another number of layers; load it with its own model");
  for (const auto& [index, layer] : layers_) {
    const auto number = in.number<std::int32_t>(), heads = in.number<std::int32_t>();
    const auto key_size = in.number<std::uint64_t>(), value_size = in.number<std::uint64_t>();
    if (number != index || heads != layer->shape.kv_heads || key_size != layer->shape.key_size ||
        value_size != layer->shape.value_size)
      throw std::runtime_error("saved state: must be of this model, has layers of another shape; load it with its own model");
  }
  auto out = std::make_shared<SavedStore>();
  const auto parts = in.number<std::uint64_t>("number of caches", 0, static_cast<std::uint64_t>(streams_) * groups_.size());
  for (std::uint64_t p = 0; p < parts; ++p) {
    SavedStore::Part& part = out->parts.emplace_back();
    part.lowest_layer = in.number<std::int32_t>();
    const auto first = layers_.find(part.lowest_layer);
    if (first == layers_.end()) damaged("a cache must begin with one of the model's layers");
    const Group* const group = first->second->group;
    const auto rows = in.number<std::uint64_t>("rows", 0, group->cells_per_stream);
    part.owner = in.numbers<std::int32_t>(rows);
    part.position = in.numbers<std::int32_t>(rows);
    const auto sequences = in.number<std::uint64_t>("number of sequences", 0, rows);
    for (std::uint64_t s = 0; s < sequences; ++s) {
      SavedStore::Sequence& sequence = part.sequences.emplace_back();
      sequence.number = in.number<std::int32_t>("number of a sequence", 0, INT32_MAX);
      sequence.names = in.numbers<std::int32_t>(in.number<std::uint64_t>());
      sequence.exact_from = in.number<std::int64_t>("tokens at the last eviction", 0, INT32_MAX);
      sequence.kv_bytes_peak = in.number<std::int64_t>("peak", 0, INT64_MAX / 4);
      sequence.oldest_seen = in.number<std::int32_t>("oldest position of a window", -1, INT32_MAX);
      sequence.primary = in.number<std::int32_t>();
      for (const auto& [index, layer] : layers_) {
        if (layer->group != group) continue;
        sequence.layers[index] = make_lists(layer->shape);
        for (HeadList& list : sequence.layers[index]) {
          HeldRows held;
          if (layer->shape.elsewhere)
            held = {holder_->row_bytes(index), [&, i = index](auto bytes) { return holder_->are_finite(i, bytes); }};
          list.restore(in, rows, held);
          const auto positions = list.statistics().view().positions;
          if (list.statistics().waiting_rows() != sequence.layers[index].front().statistics().waiting_rows())
            damaged("heads of a layer must have seen as many queries, have not");
          for (std::size_t e = 0; e < list.size(); ++e) {
            const auto row = static_cast<std::size_t>(list.cells()[e]);
            if (part.owner[row] != sequence.number || part.position[row] != positions[e])
              damaged("a head's tokens must be those of its sequence, row " + std::to_string(row) + " is not");
          }
        }
      }
      for (std::size_t t = 0; t + 1 < part.sequences.size(); ++t)
        if (part.sequences[t].number == sequence.number) damaged("sequences must have different numbers");
    }
    for (std::uint64_t i = 0; i < rows; ++i) {
      const bool known = std::any_of(part.sequences.begin(), part.sequences.end(),
                                     [&](const SavedStore::Sequence& s) { return s.number == part.owner[i]; });
      const bool placed = part.position[i] >= 0 && part.position[i] < kMostPosition;
      if (known ? !placed : part.owner[i] != CellMap::kNobody)
        damaged("each row must have a sequence and a position below " + std::to_string(kMostPosition) + ", row " +
                std::to_string(i) + " has not");
    }
  }
  return out;
}

/// The runtime writes these cells again: whoever had them has lost them.
void CacheStore::take_cells(Group& group, int stream, std::span<const std::int32_t> cells) {
  CellMap& map = group.cells[stream];
  BatchPlan plan;
  for (const std::int32_t cell : cells) {
    map.grow(static_cast<std::size_t>(cell) + 1);
    const std::int32_t owner = map.owner[static_cast<std::size_t>(cell)];
    if (owner != CellMap::kNobody) plan.reused.emplace_back(owner, cell);
    map.take(static_cast<std::size_t>(cell));
  }
  make_room_to_drop(map);
  resolve_reused(group, stream, plan);
  drop_reused(group, stream, plan);
  std::erase_if(group.sequences, [&](const auto& entry) {
    return stream_of(entry.first) == stream && map.held[static_cast<std::size_t>(sequence_of(entry.first))] == 0;
  });
}

std::vector<std::pair<std::int64_t, CacheStore::Names>> CacheStore::install(const std::shared_ptr<SavedStore>& saved,
                                                                            std::span<const SavedRows> rows) {
  settle_all();
  const auto group_of = [&](int layer) { return layers_.at(layer)->group; };
  bool fits = saved->parts.size() == rows.size();
  for (std::size_t p = 0; fits && p < rows.size(); ++p)
    fits = group_of(saved->parts[p].lowest_layer)->id == rows[p].group && saved->parts[p].owner.size() == rows[p].cells.size();
  if (!fits) damaged("it must be about the tokens that the runtime's own part is about, is about others");

  std::vector<std::pair<std::int64_t, Names>> out;
  std::map<std::pair<int, std::int32_t>, std::int64_t> primary_keys;  // by stream and saved number
  std::vector<std::pair<Group*, std::int64_t>> made;
  const auto put = [&](std::size_t p, bool first_cache) {
    SavedStore::Part& part = saved->parts[p];
    Group& group = *group_of(part.lowest_layer);
    if ((&group == primary()) != first_cache) return;
    const int stream = rows[p].stream;
    CellMap& map = group.cells[stream];
    map.cuts = cuts_;
    for (SavedStore::Sequence& from : part.sequences) {
      const auto number = static_cast<std::int32_t>(map.newest.size());
      map.newest.push_back(-1);
      map.held.push_back(0);
      for (std::size_t i = 0; i < part.owner.size(); ++i)
        if (part.owner[i] == from.number) {
          map.give(static_cast<std::size_t>(rows[p].cells[i]), number, part.position[i]);
          map.newest.back() = std::max(map.newest.back(), part.position[i]);
        }
      const std::int64_t key = sequence_key(stream, number);
      made.emplace_back(&group, key);
      Sequence& sequence = group.sequences[key];
      sequence.tokens_seen = map.newest.back() + 1;
      sequence.exact_from = std::min<std::int64_t>(from.exact_from, sequence.tokens_seen);
      sequence.oldest_seen = std::min(from.oldest_seen, map.newest.back());
      sequence.kv_bytes_peak = from.kv_bytes_peak;
      sequence.layers = std::move(from.layers);
      for (auto& [index, lists] : sequence.layers)
        for (HeadList& list : lists) list.move_to(rows[p].cells);
      if (holder_) put_rows(group, stream, sequence);
      if (first_cache) {
        primary_keys[{stream, from.number}] = key;
        out.emplace_back(key, std::move(from.names));
      } else if (const auto found = primary_keys.find({stream, from.primary}); found != primary_keys.end()) {
        primary()->sequences.at(found->second).peers[&group] = key;
      }
    }
  };
  std::size_t taken = 0;  // parts whose cells are no longer anybody else's
  try {
    for (; taken < rows.size(); ++taken)
      take_cells(*group_of(saved->parts[taken].lowest_layer), rows[taken].stream, rows[taken].cells);
    for (const bool first_cache : {true, false})
      for (std::size_t p = 0; p < rows.size(); ++p) put(p, first_cache);
  } catch (...) {  // no memory: the cells are free, as they are for the runtime, which forgets what it has restored
    for (const auto& [group, key] : made) group->sequences.erase(key);
    for (std::size_t p = 0; p < taken; ++p) {
      CellMap& map = group_of(saved->parts[p].lowest_layer)->cells[rows[p].stream];
      for (const std::int32_t cell : rows[p].cells)
        if (static_cast<std::size_t>(cell) < map.owner.size()) map.take(static_cast<std::size_t>(cell));
    }
    tidy();
    throw;
  }
  find_windows();
  return out;
}

}  // namespace namm::llama
