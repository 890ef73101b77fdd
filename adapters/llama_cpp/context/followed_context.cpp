#include "adapters/llama_cpp/context/followed_context.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace namm::llama {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

FollowedContext::FollowedContext(const Runtime& runtime, const void* model, void* context, CacheStore& store,
                                 RequestLog::Ended ended)
    : runtime_(runtime),
      context_(context),
      memory_(runtime.get_memory(context)),
      sequence_count_(static_cast<std::int32_t>(runtime.sequences(context))),
      window_tokens_(runtime.window(model)),
      hybrid_(runtime.hybrid(model)),
      store_(store),
      requests_(std::move(ended)),
      before_(static_cast<std::size_t>(sequence_count_), -1),
      refused_(static_cast<std::size_t>(sequence_count_) + 1) {}

std::int32_t FollowedContext::newest(std::int32_t sequence) const {
  return runtime_.newest_position(memory_, sequence);
}

void FollowedContext::before_batch() {
  const std::lock_guard<std::mutex> lock(mutex_);
  in_batch_ = true;
  store_.batch_begins();
  batch_began_ = now_seconds();
  for (std::int32_t s = 0; s < sequence_count_; ++s) before_[static_cast<std::size_t>(s)] = newest(s);
}

/// Who it may be; empty if that is not known.
std::vector<std::int32_t> FollowedContext::candidates_of(const SequenceUse& use) const {
  return store_.streams() > 1 ? std::vector<std::int32_t>{use.stream} : names_.candidates_of(use.key);
}

/// Of a batch that nobody told about, what the runtime still has was computed to the end. Positions do not tell branches apart:
/// theirs wait for the next mask.
void FollowedContext::settle_by_positions() {
  store_.settle_computed();
  for (const SequenceUse& use : store_.sequences()) {
    if (use.open_to < 0 || use.shared) continue;
    // only those that it may be: another sequence may happen to have that length
    const std::vector<std::int32_t> known = candidates_of(use);
    bool there = false;
    for (std::int32_t s = 0; s < sequence_count_; ++s)
      if (known.empty() || std::find(known.begin(), known.end(), s) != known.end()) there = there || newest(s) + 1 == use.open_to;
    if (there)
      store_.settle(use.key);
    else
      store_.take_back(use.key);
  }
}

void FollowedContext::catch_up() {
  const std::lock_guard<std::mutex> lock(mutex_);
  settle_by_positions();
  const std::vector<BatchShare> shares = store_.take_shares();
  std::vector<std::int64_t> keys;
  for (const SequenceUse& use : store_.sequences()) keys.push_back(use.key);
  names_.retain(keys);
  std::vector<Advance> advances;
  std::vector<std::int32_t> gone;
  for (std::int32_t s = 0; s < sequence_count_; ++s) {
    std::int32_t& before = before_[static_cast<std::size_t>(s)];
    const std::int32_t now = newest(s);
    if (now < 0 && before >= 0) gone.push_back(s);
    // went on: something was evaluated up to here. One that was only cut, or copied to, stays who it was, and so does one that
    // is where it was, unless nothing is left of what it was
    if (now >= 0 && (now != before || names_.keys_of(s).empty()))
      for (const BatchShare& share : shares)
        if (share.last == now) advances.push_back({s, share.first - 1, now});
    before = now;
  }
  if (!shares.empty())
    for (const std::int64_t key : names_.learn(advances, shares, store_.streams() > 1)) forget(key);
  for (const std::int32_t s : gone) forget_sequence(s);
  if (sequence_count_ > 1) return;
  if (before_.front() < 0) return forget_all();
  // one sequence: what was evaluated last is it, and anything else was cleared away
  for (const SequenceUse& use : store_.sequences()) {
    if (!shares.empty() && use.key != shares.back().key)
      forget(use.key);
    else if (names_.candidates_of(use.key).empty())
      names_.share(use.key, std::array{std::int32_t{0}});
  }
}

/// Also where it is not known which of several a list is: it has no more tokens than the longest of them.
void FollowedContext::drop_cut_ends() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const SequenceUse& use : store_.sequences()) {
    if (use.shared) continue;
    std::int32_t length = 0;
    for (const std::int32_t s : candidates_of(use)) length = std::max(length, newest(s) + 1);
    if (length > 0 && length < use.tokens_seen) store_.cut(use.key, length);
  }
}

int FollowedContext::after_batch(int status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  in_batch_ = false;
  batch_ended_ = now_seconds();
  std::exception_ptr failure;
  const auto tell_store = [&](auto how) {
    try {
      how();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  if (status == 0) tell_store([&] { store_.batch_done(); });
  if (status != 0 && hybrid_) refuse_advanced();  // before anything that needs memory
  std::vector<Advance> advances;
  std::vector<PositionRange> ranges;
  std::int64_t advanced = 0, evaluated = 0;
  for (std::int32_t s = 0; s < sequence_count_; ++s) {
    const Advance advance{s, before_[static_cast<std::size_t>(s)], newest(s)};
    if (advance.after == advance.before) continue;
    advances.push_back(advance);
    if (advance.after > advance.before) ranges.push_back({advance.before + 1, advance.after});
    advanced += advance.after - advance.before;
  }
  if (status != 0) tell_store([&] { store_.batch_broken(ranges); });
  std::vector<BatchShare> shares = store_.take_shares();
  for (const BatchShare& share : shares) evaluated += share.last - share.first + 1;
  if (advanced > evaluated) {  // tokens of several sequences each: branches, of whichever key
    std::vector<std::int32_t> sequences;
    for (const Advance& advance : advances) sequences.push_back(advance.sequence);
    for (const BatchShare& share : shares) {
      names_.share(share.key, sequences);
      store_.branched(share.key);
    }
  }
  std::vector<std::int64_t> keys;
  for (const BatchShare& share : shares) keys.push_back(share.key);
  if (status != 0) refuse_half_read(advances, shares);
  std::vector<Advance> told = advances;
  if (status != 0) {  // what the runtime removed again, or the store did not read, says nothing about whose it was
    const auto fits = [](const Advance& advance, const BatchShare& share) {
      return advance.before == share.first - 1 && advance.after == share.last;
    };
    std::erase_if(shares, [&](const BatchShare& share) {
      return std::none_of(advances.begin(), advances.end(), [&](const Advance& advance) { return fits(advance, share); });
    });
    std::erase_if(told, [&](const Advance& advance) {
      return std::none_of(shares.begin(), shares.end(), [&](const BatchShare& share) { return fits(advance, share); });
    });
  }
  for (const std::int64_t key : names_.learn(told, shares, store_.streams() > 1, keys)) forget(key);
  if (!shares.empty())
    requests_.batch(
        shares, store_.sequences(),
        [this](std::int64_t key) {
          return Holder{names_.sequence_of(key), static_cast<std::int64_t>(names_.candidates_of(key).size())};
        },
        batch_began_, batch_ended_);
  for (const Advance& advance : advances) before_[static_cast<std::size_t>(advance.sequence)] = advance.after;
  if (failure) std::rethrow_exception(failure);
  return status == 0 && lost(advances) ? -3 : status;
}

void FollowedContext::output_read(std::int32_t index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  requests_.output_read(index);
}

/// After a batch that was broken off: of a model with a recurrent state the runtime cannot remove the tokens of the part that was
/// not computed. They are in no list or in no state, and what would follow them would be wrong. Which sequences had tokens there
/// is not known.
void FollowedContext::refuse_advanced() {
  for (std::int32_t s = 0; s < sequence_count_; ++s)
    if (newest(s) > before_[static_cast<std::size_t>(s)]) refuse(s);
}

/// Of other models, those that went on further than was read.
void FollowedContext::refuse_half_read(std::span<const Advance> advances, std::span<const BatchShare> shares) {
  const std::vector<SequenceUse> uses = store_.sequences();
  for (const Advance& advance : advances) {
    const std::vector<std::int64_t> keys = names_.keys_of(advance.sequence);
    const bool branches = std::any_of(uses.begin(), uses.end(), [&](const SequenceUse& use) {
      return use.shared && std::find(keys.begin(), keys.end(), use.key) != keys.end();
    });
    const bool read = std::any_of(shares.begin(), shares.end(), [&](const BatchShare& share) {
      return share.last - share.first == advance.after - advance.before - 1;
    });
    if (!branches && !read) refuse(advance.sequence);
  }
}

void FollowedContext::refused(std::int32_t sequence) {
  const std::lock_guard<std::mutex> lock(mutex_);
  refuse(sequence);
}

/// Needs no memory. The program may name sequences that there are not.
void FollowedContext::refuse(std::int32_t sequence, bool is) {
  if (sequence >= -1 && sequence < sequence_count_) refused_[static_cast<std::size_t>(sequence + 1)] = is;
}

bool FollowedContext::is_refused(std::int32_t sequence) const {
  return sequence >= -1 && sequence < sequence_count_ && refused_[static_cast<std::size_t>(sequence + 1)];
}

bool FollowedContext::lost(std::span<const Advance> advances) const {
  return std::any_of(advances.begin(), advances.end(),
                     [&](const Advance& advance) { return is_refused(-1) || is_refused(advance.sequence); });
}

void FollowedContext::forget(std::int64_t key) {
  requests_.end(key);
  store_.forget(key);
}

void FollowedContext::forget_all() {
  requests_.end_all();
  names_.clear();
  refused_.assign(refused_.size(), false);
  for (const SequenceUse& use : store_.sequences()) store_.forget(use.key);
}

void FollowedContext::forget_sequence(std::int32_t sequence) {
  refuse(sequence, false);
  for (const std::int64_t key : names_.remove(sequence)) forget(key);
  if (store_.streams() > 1) forget_list_of(sequence);  // also one that a broken batch left without a name
}

/// With a stream for each sequence: whatever lies in that of this one.
void FollowedContext::forget_list_of(std::int32_t sequence) {
  names_.remove(sequence);
  for (const SequenceUse& use : store_.sequences())
    if (use.stream == sequence) forget(use.key);
}

void FollowedContext::cleared() {
  const std::lock_guard<std::mutex> lock(mutex_);
  forget_all();
}

void FollowedContext::removed(std::int32_t sequence) {
  const std::lock_guard<std::mutex> lock(mutex_);
  forget_sequence(sequence);
}

void FollowedContext::kept_only(std::int32_t sequence) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::int32_t s = 0; s < sequence_count_; ++s)
    if (s != sequence) forget_sequence(s);
}

std::string FollowedContext::copying(std::int32_t source, std::int32_t target, std::int32_t to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (source == target) return {};  // nothing is copied
  try {
    return copy_lists(source, target, to);
  } catch (const std::exception& error) {  // memory, or the policy
    refuse(target);
    return std::string("a sequence was to be copied, which failed: ") + error.what() + "; remove the copy and read it again";
  }
}

std::string FollowedContext::copy_lists(std::int32_t source, std::int32_t target, std::int32_t to) {
  std::string refusal;
  const bool streams = store_.streams() > 1;
  if (streams && to >= 0)
    refusal = "a sequence must be copied as a whole where each has a cache of its own, was to be copied up to " +
              std::to_string(to) + "; copy all of it, or use one unified cache (--kv-unified)";
  else if (to >= 0 && !exact_from(source, to))
    refusal = "the beginning of a sequence must reach behind the last eviction to be copied, was to end at " +
              std::to_string(to) + "; what was evicted then cannot come back; read it again";
  if (!refusal.empty() || is_refused(source)) refuse(target);
  if (!refusal.empty()) return refusal;
  if (streams) {            // each sequence has the stream of its number
    settle_by_positions();  // of a batch that was broken off
    forget_list_of(target);
    for (const std::int64_t key : store_.copy_stream(source, target)) names_.is(key, target);
    before_[static_cast<std::size_t>(target)] = newest(source);  // the runtime copies next
    return {};
  }
  std::vector<std::int64_t> keys = names_.copied(source, target);
  if (keys.empty() && newest(source) >= 0) {  // of the source nothing is known: it may be each list of which nothing is known
    std::vector<std::int32_t> any = {target};
    for (std::int32_t s = 0; s < sequence_count_; ++s)
      if (newest(s) >= 0) any.push_back(s);
    for (const SequenceUse& use : store_.sequences())
      if (names_.candidates_of(use.key).empty()) {
        names_.share(use.key, any);
        keys.push_back(use.key);
      }
  }
  for (const std::int64_t key : keys) store_.branched(key);
  return {};
}

/// The newest position that evictions have had in view, -1 if there were none. What left a window of n tokens has been in view of
/// the n - 1 positions behind it, too: position P sees P - n + 1 and later.
std::int32_t FollowedContext::newest_decided(std::int32_t sequence) const {
  std::int32_t out = -1;
  const std::vector<std::int64_t> keys = names_.keys_of(sequence);
  for (const SequenceUse& use : store_.sequences())
    if (std::find(keys.begin(), keys.end(), use.key) != keys.end())
      out = std::max({out, static_cast<std::int32_t>(use.exact_from) - 1,
                      use.oldest_in_window < 0 ? -1 : use.oldest_in_window + std::max(window_tokens_ - 2, 0)});
  return std::min(out, newest(sequence));
}

/// Whatever lies above what is told here can be cut: programs ask for a cut after they have asked for this.
std::int32_t FollowedContext::oldest_position(std::int32_t sequence, std::int32_t real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return real < 0 ? real : std::max(real, newest_decided(sequence));
}

/// True if nothing behind position `from` - 1 has shaped what is left of the sequence.
bool FollowedContext::exact_from(std::int32_t sequence, std::int32_t from) const {
  return from > newest_decided(sequence);
}

bool FollowedContext::can_cut(std::int32_t sequence, std::int32_t from) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::int32_t s = 0; s < sequence_count_; ++s)
    if ((sequence < 0 || s == sequence) && !exact_from(s, from)) return false;
  return true;
}

void FollowedContext::verify() const {
  store_.verify();
  const std::vector<SequenceUse> uses = store_.sequences();
  std::size_t named = 0;
  for (const SequenceUse& use : uses) {
    const std::vector<std::int32_t> names = names_.candidates_of(use.key);
    named += !names.empty();
    for (const std::int32_t name : names)
      if (newest(name) < 0)
        throw std::logic_error("KV cache: names must be of sequences that have tokens, " + std::to_string(name) + " has none");
  }
  if (named < uses.size()) return;  // what is not known may be any of them
  for (std::int32_t s = 0; s < sequence_count_; ++s)
    if (newest(s) >= 0 && !is_refused(s) && names_.keys_of(s).empty())
      throw std::logic_error("KV cache: each sequence must have a list, " + std::to_string(s) + " has none");
}

StateSource FollowedContext::state_source() {
  return {runtime_, context_, store_, [this](std::int64_t key) { return names_.candidates_of(key); }};
}

std::size_t FollowedContext::save_state(std::int32_t sequence, std::span<std::byte> to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return write_state(state_source(), sequence, to);
}

std::size_t FollowedContext::load_state(std::int32_t sequence, std::span<const std::byte> from) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto forget = [&] { sequence < 0 ? forget_all() : forget_sequence(sequence); };
  for (auto& [key, names] : read_state(state_source(), sequence, from, forget)) {
    if (sequence >= 0) names = {sequence};
    names_.restored(key, names);
    if (names.size() > 1) store_.branched(key);
  }
  return state_bytes(from);
}

void FollowedContext::end_idle(double before) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!in_batch_) requests_.pause(before);
}

void FollowedContext::end_all() {
  const std::lock_guard<std::mutex> lock(mutex_);
  requests_.end_all();
}

}  // namespace namm::llama
