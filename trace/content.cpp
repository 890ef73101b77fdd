#include "trace/content.hpp"

#include <numeric>

namespace namm::trace {
namespace {

bool reads_rows(const PromptRecord& record, const CachePolicy& memory) {
  return memory.required().has(Statistic::content) && memory.reader() != nullptr && record.layers.front().has_rows();
}

}  // namespace

Content read_content(const PromptRecord& record, const ContentReader& reader) {
  constexpr std::size_t kTokens = 256;  // at a time
  Content out;
  std::vector<float> keys, values, read;
  std::vector<std::int32_t> positions;
  for (const LayerRecord& layer : record.layers) {
    const LayerDescription& shape = layer.layer().shape;
    const std::size_t tokens = layer.layout().tokens(), first_head = out.size();
    for (std::size_t h = 0; h < layer.layer().heads.size(); ++h) out.emplace_back(tokens);
    for (std::size_t first = 0; first < tokens; first += kTokens) {
      const std::size_t count = std::min(kTokens, tokens - first);
      layer.read_rows(first, count, keys, values);
      positions.resize(count);
      std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
      read.resize(static_cast<std::size_t>(shape.kv_heads) * count);
      reader.read({shape.layer, shape.kv_heads, static_cast<std::size_t>(shape.key_size),
                   static_cast<std::size_t>(shape.value_size), positions, keys.data(), values.data(), nullptr},
                  read);
      for (std::size_t h = 0; h < layer.layer().heads.size(); ++h) {
        const auto head = static_cast<std::size_t>(layer.layer().heads[h]);
        std::copy_n(read.begin() + static_cast<std::ptrdiff_t>(head * count), count,
                    out[first_head + h].begin() + static_cast<std::ptrdiff_t>(first));
      }
    }
  }
  return out;
}

std::shared_ptr<const Content> content_for(const PromptRecord& record, const CachePolicy& memory) {
  if (!reads_rows(record, memory)) return nullptr;
  return std::make_shared<const Content>(read_content(record, *memory.reader()));
}

std::shared_ptr<const Content> ContentMemory::of(const PromptRecord& record, const CachePolicy& memory) {
  if (!reads_rows(record, memory)) return nullptr;  // and forget nothing: others will ask again
  if (owner_.reader() != memory.reader()) {
    known_.clear();
    owner_ = memory;
  }
  const auto [found, fresh] = known_.try_emplace(record.layers.front().bytes().data());
  if (fresh) found->second = std::make_shared<const Content>(read_content(record, *memory.reader()));
  return found->second;
}

}  // namespace namm::trace
