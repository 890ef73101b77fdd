#include "adapters/llama_cpp/context/sequence_names.hpp"

#include <algorithm>
#include <iterator>

namespace namm::llama {

std::vector<std::int64_t> SequenceNames::learn(std::span<const Advance> advances, std::span<const BatchShare> shares,
                                               bool streams, std::span<const std::int64_t> touched) {
  for (const BatchShare& share : shares) {
    if (shared_.contains(share.key)) continue;  // the positions of branches run on, one behind the other: they tell nothing
    std::set<std::int32_t> fits;
    for (const Advance& advance : advances)
      if (advance.before == share.first - 1 && advance.after == share.last && (!streams || advance.sequence == share.stream))
        fits.insert(advance.sequence);
    if (fits.empty()) {  // positions of its own: nothing is known, and nothing is ever concluded
      candidates_.erase(share.key);
      continue;
    }
    std::set<std::int32_t>& known = candidates_[share.key];
    std::set<std::int32_t> both;
    std::set_intersection(known.begin(), known.end(), fits.begin(), fits.end(), std::inserter(both, both.end()));
    known = both.empty() ? fits : both;
  }
  // a sequence that went on did so in one of this batch's keys
  for (auto* const keys : {&candidates_, &shared_})
    for (auto& [key, sequences] : *keys) {
      if (std::any_of(shares.begin(), shares.end(), [&, k = key](const BatchShare& share) { return share.key == k; })) continue;
      if (std::find(touched.begin(), touched.end(), key) != touched.end()) continue;
      for (const Advance& advance : advances) sequences.erase(advance.sequence);
    }
  settle();
  return take_empty();
}

/// A sequence that is certainly one key is no other.
void SequenceNames::settle() {
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [key, sequences] : candidates_) {
      if (sequences.size() != 1) continue;
      for (auto& [other, others] : candidates_)
        if (other != key && others.size() > 1 && others.erase(*sequences.begin()) > 0) changed = true;
    }
  }
}

std::vector<std::int64_t> SequenceNames::take_empty() {
  std::vector<std::int64_t> out;
  for (auto* const keys : {&candidates_, &shared_})
    std::erase_if(*keys, [&](const auto& entry) {
      if (!entry.second.empty()) return false;
      out.push_back(entry.first);
      return true;
    });
  return out;
}

void SequenceNames::is(std::int64_t key, std::int32_t sequence) {
  shared_.erase(key);
  candidates_[key] = {sequence};
}

void SequenceNames::share(std::int64_t key, std::span<const std::int32_t> sequences) {
  std::set<std::int32_t>& all = shared_[key];
  all.insert(sequences.begin(), sequences.end());
  if (const auto known = candidates_.extract(key)) all.merge(known.mapped());
}

std::vector<std::int64_t> SequenceNames::copied(std::int32_t source, std::int32_t target) {
  const std::vector<std::int64_t> keys = keys_of(source);
  for (const std::int64_t key : keys) share(key, std::span(&target, 1));
  return keys;
}

std::vector<std::int64_t> SequenceNames::remove(std::int32_t sequence) {
  for (auto* const keys : {&candidates_, &shared_})
    for (auto& [key, sequences] : *keys) sequences.erase(sequence);
  return take_empty();
}

void SequenceNames::retain(std::span<const std::int64_t> keys) {
  for (auto* const known : {&candidates_, &shared_})
    std::erase_if(*known, [&](const auto& entry) { return std::find(keys.begin(), keys.end(), entry.first) == keys.end(); });
}

void SequenceNames::clear() {
  candidates_.clear();
  shared_.clear();
}

void SequenceNames::restored(std::int64_t key, std::span<const std::int32_t> sequences) {
  if (!sequences.empty()) share(key, sequences);
}

std::vector<std::int64_t> SequenceNames::keys_of(std::int32_t sequence) const {
  std::vector<std::int64_t> out;
  for (const auto* const keys : {&candidates_, &shared_})
    for (const auto& [key, sequences] : *keys)
      if (sequences.contains(sequence)) out.push_back(key);
  return out;
}

std::vector<std::int32_t> SequenceNames::candidates_of(std::int64_t key) const {
  for (const auto* const keys : {&candidates_, &shared_})
    if (const auto found = keys->find(key); found != keys->end()) return {found->second.begin(), found->second.end()};
  return {};
}

std::int32_t SequenceNames::sequence_of(std::int64_t key) const {
  const std::vector<std::int32_t> sequences = candidates_of(key);
  return sequences.size() == 1 ? sequences.front() : -1;
}

}  // namespace namm::llama
