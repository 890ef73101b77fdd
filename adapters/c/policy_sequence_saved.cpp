// A sequence as bytes: mark, version, fingerprint of policy and layers, counts, then the statistics head by head.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "adapters/c/policy_sequence.hpp"
#include "base/bytes.hpp"
#include "base/fingerprint.hpp"

namespace namm {
namespace {

constexpr std::uint32_t kMark = 0x514d414e;  // "NAMQ"
constexpr std::uint32_t kVersion = 1;

}  // namespace

std::string PolicySequence::fingerprint() const {
  nlohmann::json made_by = {policy_.spectrogram.decay, policy_.policy ? std::string(policy_.policy->name()) : "full",
                            policy_.policy ? policy_.policy->to_json() : nlohmann::json()};
  for (const LayerDescription& layer : layers_)
    made_by.push_back({layer.layer, layer.kv_heads, layer.key_size, layer.value_size, layer.window});
  return namm::fingerprint(made_by.dump());
}

std::vector<std::byte> PolicySequence::save() const {
  const std::string made_by = fingerprint();
  const auto write = [&](ByteWriter& out) {
    out.number(kMark);
    out.number(kVersion);
    out.text(made_by);
    out.number(updated_at_);
    for (const Layer& layer : states_) out.number(layer.tokens);
    for (const HeadStatistics& head : heads_) head.save(out);
  };
  ByteWriter counter;
  write(counter);
  std::vector<std::byte> bytes(counter.count());
  ByteWriter out(bytes);
  write(out);
  return bytes;
}

void PolicySequence::restore(std::span<const std::byte> saved) {
  ByteReader in(saved);
  if (in.number<std::uint32_t>() != kMark) throw std::runtime_error("saved state: must be of a sequence, is something else");
  in.number<std::uint32_t>("version", kVersion, kVersion);
  if (in.text() != fingerprint())
    throw std::runtime_error(
        "saved state: must be of the same policy and layers, is of others; restore it with the policy that saved it");
  PolicySequence fresh = *this;
  fresh.clear();
  constexpr std::int64_t most = INT32_MAX;  // positions are 32 bits
  fresh.updated_at_ = in.number<std::int64_t>("tokens", 0, most);
  for (Layer& layer : fresh.states_) layer.tokens = in.number<std::int64_t>("tokens", 0, most);
  for (std::size_t l = 0; l < fresh.states_.size(); ++l)
    for (int h = 0; h < layers_[l].kv_heads; ++h) {
      HeadStatistics& head = fresh.heads_[fresh.states_[l].first_head + static_cast<std::size_t>(h)];
      head.restore(in);
      if (static_cast<std::int64_t>(head.size()) > fresh.states_[l].tokens)
        throw std::runtime_error("saved state: a head must hold at most the " + std::to_string(fresh.states_[l].tokens) +
                                 " tokens seen, holds " + std::to_string(head.size()) + "; the file is damaged, save it again");
    }
  if (fresh.updated_at_ > fresh.tokens_seen() || in.left() != 0)
    throw std::runtime_error("saved state: must end behind its last head and be consistent; the file is damaged, save it again");
  fresh.note_peaks();
  *this = std::move(fresh);
}

}  // namespace namm
