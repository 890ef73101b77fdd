// A store's sequences held in memory, to be gone on from several times with other tokens left.
#include <algorithm>
#include <numeric>

#include "adapters/llama_cpp/store/cache_store_parts.hpp"
#include "base/bytes.hpp"

namespace namm::llama {
namespace {

std::vector<std::int32_t> all_of(const HeadList& list) {
  std::vector<std::int32_t> out(list.size());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

/// Indices of the entries at these ascending positions, as far as they are there.
std::vector<std::int32_t> entries_at(const HeadList& list, std::span<const std::int32_t> wanted) {
  std::vector<std::int32_t> out;
  const auto positions = list.statistics().view().positions;
  for (std::size_t e = 0, w = 0; e < positions.size() && w < wanted.size();) {
    if (positions[e] == wanted[w])
      out.push_back(static_cast<std::int32_t>(e)), ++e, ++w;
    else if (positions[e] < wanted[w])
      ++e;
    else
      ++w;
  }
  return out;
}

}  // namespace

std::shared_ptr<const SavedStore> CacheStore::capture(std::span<const SavedRows> rows) const {
  require_own_rows("keeping a prompt to go on from");
  const auto nobody = [](std::int64_t) { return Names(); };
  ByteWriter size;
  save(size, rows, nobody);
  std::vector<std::byte> bytes(size.count());
  ByteWriter out(bytes);
  save(out, rows, nobody);
  ByteReader in(bytes);
  const std::shared_ptr<SavedStore> saved = read(in);
  return branch(*saved, {});
}

std::shared_ptr<SavedStore> CacheStore::branch(const SavedStore& captured, std::span<const HeadContent> kept) {
  auto out = std::make_shared<SavedStore>();
  for (const SavedStore::Part& part : captured.parts) {
    SavedStore::Part& to = out->parts.emplace_back();
    to.lowest_layer = part.lowest_layer;
    to.owner = part.owner;
    to.position = part.position;
    for (const SavedStore::Sequence& sequence : part.sequences) {
      SavedStore::Sequence& copy = to.sequences.emplace_back();
      copy.number = sequence.number;
      copy.names = sequence.names;
      copy.exact_from = sequence.exact_from;
      copy.oldest_seen = sequence.oldest_seen;
      copy.primary = sequence.primary;
      for (const auto& [index, heads] : sequence.layers) {
        const auto region = std::make_shared<PageRegion>();
        for (std::size_t h = 0; h < heads.size(); ++h) {
          const auto found = std::find_if(kept.begin(), kept.end(), [&, layer = index](const HeadContent& head) {
            return head.layer == layer && static_cast<std::size_t>(head.kv_head) == h;
          });
          copy.layers[index].push_back(
              heads[h].copy(found == kept.end() ? all_of(heads[h]) : entries_at(heads[h], found->positions), region));
        }
      }
    }
  }
  return out;
}

std::size_t CacheStore::kv_bytes(const SavedStore& captured) {
  std::size_t sum = 0;
  for (const SavedStore::Part& part : captured.parts)
    for (const SavedStore::Sequence& sequence : part.sequences)
      for (const auto& [index, heads] : sequence.layers)
        for (const HeadList& list : heads) sum += list.kv_bytes();
  return sum;
}

}  // namespace namm::llama
