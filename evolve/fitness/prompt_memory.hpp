#pragma once
#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "evolve/fitness.hpp"

namespace namm::evolve {

/// What a fitness made of prompts and will need again: made once, by whoever asks first, while others that ask for the same wait;
/// the oldest is forgotten beyond a number of bytes. `Value` has a member `bytes`, the memory it takes.
template <class Key, class Value>
class PromptMemory {
 public:
  /// Before the first get(). The newest value is kept whatever its size.
  void limit(std::size_t bytes) { most_bytes_ = bytes; }

  /// What belongs to `key`; `make` gives it, as a pointer that is not null, if it is not there. What `make` throws reaches the
  /// caller, and whoever asks next makes it.
  template <class Make>
  std::shared_ptr<const Value> get(const Key& key, const Make& make) {
    const std::shared_ptr<Entry> entry = entry_of(key);
    const std::lock_guard<std::mutex> lock(entry->mutex);
    if (!entry->value) {
      entry->value = make();
      remember(key, entry);
    }
    return entry->value;
  }

  /// Forgets the oldest one for whose key `matches` is true, if any.
  template <class Matches>
  void forget_first(const Matches& matches) {
    const std::lock_guard<std::mutex> lock(mutex_);
    forget(std::find_if(order_.begin(), order_.end(), [&](const auto& one) { return matches(one.first); }));
  }

 private:
  struct Entry {
    std::mutex mutex;  // held by whoever makes the value; taken before the other mutex, never after it
    std::shared_ptr<const Value> value;
  };
  using Order = std::deque<std::pair<Key, std::shared_ptr<Entry>>>;

  std::shared_ptr<Entry> entry_of(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<Entry>& known = known_[key];
    if (!known) known = std::make_shared<Entry>();
    return known;
  }

  void remember(const Key& key, const std::shared_ptr<Entry>& made) {
    const std::lock_guard<std::mutex> lock(mutex_);
    order_.emplace_back(key, made);
    bytes_ += made->value->bytes;
    while (bytes_ > most_bytes_ && order_.size() > 1) forget(order_.begin());
  }

  void forget(typename Order::iterator which) {
    if (which == order_.end()) return;
    bytes_ -= which->second->value->bytes;
    known_.erase(which->first);
    order_.erase(which);
  }

  std::mutex mutex_;  // guards what follows
  std::map<Key, std::shared_ptr<Entry>> known_;
  Order order_;  // those whose value is there, the oldest first
  std::size_t bytes_ = 0;
  std::size_t most_bytes_ = kPromptMemory;
};

}  // namespace namm::evolve
