#include "tests/llama/operation_fuzz.hpp"

#include <algorithm>
#include <cmath>

#include "adapters/llama_cpp/context/attached_internals.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/failing_allocations.hpp"
#include "tests/llama/process_memory.hpp"

namespace namm::test {
namespace {

constexpr int kMostTokens = 300;  // of a sequence

CachePolicy policy_of(const FuzzKind& kind) {
  const std::string name = kind.policy;
  CachePolicy out = name == "full"
                        ? full_memory()
                        : load_policy(name).with_budget(Budget{Budget::Unit::tokens, static_cast<double>(kind.budget)});
  return out.with_interval(16).with_protection(2, 6).with_store(kind.store);
}

}  // namespace

bool OperationFuzz::Stopper::callback(void* data) {
  auto* const stop = static_cast<Stopper*>(data);
  const int call = stop->calls++;
  if (!stop->starves) return call == stop->at;
  if (call == stop->at) refuse_allocation(stop->allocation);
  if (call == stop->at + 1) allow_allocations();  // what is asked for behind the graph is not meant
  return false;
}

OperationFuzz::OperationFuzz(const llama::LlamaModel& model, const FuzzKind& kind, unsigned seed)
    : random_(seed),
      kind_(kind),
      recurrent_(std::string(kind.architecture) == "jamba"),
      same_(kind.budget > kMostTokens && std::string(kind.store) == "f16"),
      window_(llama_model_n_swa(model.get())),
      vocabulary_(llama_vocab_n_tokens(model.vocab())),
      sequences_(draw(2, 4)),
      attached_(llama::attach(model.get(), params(), policy_of(kind))),
      stock_(llama_init_from_model(model.get(), params()), llama_free),
      texts_(static_cast<std::size_t>(sequences_)),
      doubtful_(static_cast<std::size_t>(sequences_)) {
  llama_set_abort_callback(attached_.context(), Stopper::callback, &stop_);
}

llama_context_params OperationFuzz::params() const {
  llama_context_params out = llama_context_default_params();
  out.n_ctx = static_cast<std::uint32_t>(512 * 4 * (kind_.streams ? sequences_ : 1));
  out.n_batch = 128;
  out.n_ubatch = 32;
  out.n_seq_max = static_cast<std::uint32_t>(sequences_);
  out.kv_unified = !kind_.streams;
  out.swa_full = !kind_.small;
  out.n_threads = out.n_threads_batch = 1;
  out.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  return out;
}

void OperationFuzz::step() {
  const int what = draw(0, 99), s = draw(0, sequences_ - 1), t = draw(0, sequences_ - 1);
  const Fate stopped = Fate::stopped, starved = kAllocationsFail ? Fate::starved : stopped;
  if (what < 40) return read(Fate::computed);
  if (what < 52) return read(stopped);
  if (what < 57) return read(starved);
  if (what < 68) return cut(s);
  if (what < 74) return remove(s);
  if (what < 81) return copy(s, t);
  if (what < 83) return clear();
  if (what < 88) return save(s);
  if (what < 93) return load(s);
  if (what < 96) {
    log += " update";
    return attached_.update();
  }
  if (!kind_.streams) read_together(s, t, draw(0, 2) == 0 ? stopped : Fate::computed);
}

void OperationFuzz::check() {
  llama::FollowedContext& followed = llama::AttachedInternals::followed(attached_);
  const CacheUsage usage = attached_.usage();
  followed.verify();
  std::int64_t tokens = 0;
  for (int s = 0; s < sequences_; ++s) {
    REQUIRE(newest(s) == static_cast<int>(text(s).size()) - 1);
    tokens += newest(s) + 1;
  }
  REQUIRE(usage.entries <= usage.entries_full);
  REQUIRE(usage.kv_bytes <= usage.kv_bytes_peak);
  if (tokens == 0) REQUIRE(usage.entries == 0);
  if (tokens > 0 && !recurrent_ && std::find(doubtful_.begin(), doubtful_.end(), true) == doubtful_.end())
    REQUIRE(usage.entries > 0);
  if (kFreedMemoryIsHeld || ++checks_ % 8 != 0) return;
  if (const std::int64_t mapped = unreserved_bytes(); mapped >= 0) {
    const int means = policy_of(kind_).store.means;  // of 2 layers with at most 4 heads of at most 64 numbers, on the heap
    REQUIRE(usage.kv_bytes >= mapped);
    REQUIRE(usage.kv_bytes <= mapped + sequences_ * 2 * 4 * means * (4 * 64 + 4));
  }
}

struct OperationFuzz::Filled {
  llama_batch batch = llama_batch_init(512, 0, 2);
  std::vector<int> last;  // row of each sequence's last token, -1 = none
  Filled() = default;
  Filled(const Filled&) = delete;
  Filled& operator=(const Filled&) = delete;
  ~Filled() { llama_batch_free(batch); }
  void add(std::int32_t token, int position, int sequence) {
    const int i = batch.n_tokens++;
    batch.token[i] = token;
    batch.pos[i] = position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = 1;
    last[static_cast<std::size_t>(sequence)] = i;
  }
};

/// Of each sequence the tokens from `from` to `to`, one sequence behind the other or in turns. `both`: another sequence that has
/// all of these tokens, too; -1 = none.
void OperationFuzz::fill(Filled& filled, const Lengths& from, const Lengths& to, bool in_turns, int both) const {
  filled.last.resize(from.size(), -1);
  Lengths at = from;
  for (bool more = true; more;) {
    more = false;
    for (std::size_t s = 0; s < from.size(); ++s)
      while (at[s] < to[s]) {
        filled.add(texts_[s][static_cast<std::size_t>(at[s])], at[s], static_cast<int>(s));
        if (both >= 0) {
          filled.batch.n_seq_id[filled.batch.n_tokens - 1] = 2;
          filled.batch.seq_id[filled.batch.n_tokens - 1][1] = both;
        }
        ++at[s];
        more = true;
        if (in_turns) break;
      }
  }
}

/// Why it failed; empty if it did not.
std::string OperationFuzz::decode(const Filled& filled, Fate fate) {
  stop_.calls = 0;
  stop_.starves = fate == Fate::starved;
  stop_.allocation = draw(0, 60);
  stop_.at = fate == Fate::computed ? -2 : draw(0, stop_.starves ? std::max(least_calls_ - 2, 0) : most_calls_);
  std::string why;
  try {
    attached_.decode(filled.batch);
  } catch (const std::runtime_error& error) {
    why = error.what();
  }
  allow_allocations();
  if (why.empty()) {
    most_calls_ = std::max(most_calls_, stop_.calls);
    least_calls_ = std::min(least_calls_, stop_.calls);
  }
  stop_.at = -2;
  return why;
}

void OperationFuzz::read(Fate fate) {
  Lengths from, to;
  int left = 100;
  for (auto& text : texts_) {
    from.push_back(static_cast<int>(text.size()));
    const int count = draw(0, 2) == 0 ? 0 : std::min({left, draw(0, 1) ? draw(1, 4) : draw(1, 50), kMostTokens - from.back()});
    for (int i = 0; i < count; ++i) text.push_back(draw(0, vocabulary_ - 1));
    left -= count;
    to.push_back(static_cast<int>(text.size()));
  }
  read_batch(from, to, fate, -1);
}

/// Tokens that two sequences have both, as in a prompt that is read for several answers.
void OperationFuzz::read_together(int s, int t, Fate fate) {
  if (s == t || text(s).size() > kMostTokens - 50) return;
  if (text(s) != text(t)) copy(s, t);
  Lengths from;
  for (const auto& text : texts_) from.push_back(static_cast<int>(text.size()));
  Lengths to = from;
  to[static_cast<std::size_t>(s)] += draw(1, 50);
  while (static_cast<int>(text(s).size()) < to[static_cast<std::size_t>(s)]) text(s).push_back(draw(0, vocabulary_ - 1));
  text(t) = text(s);
  read_batch(from, to, fate, t);
}

void OperationFuzz::read_batch(const Lengths& from, Lengths to, Fate fate, int both) {
  const auto count = from.size();
  Filled filled;
  fill(filled, from, to, both < 0 && draw(0, 3) == 0, both);
  if (filled.batch.n_tokens == 0) return;
  log += fate == Fate::computed ? " read" : fate == Fate::stopped ? " stopped" : " starved";
  for (std::size_t s = 0; s < count; ++s) log += ":" + std::to_string(to[s] - from[s]);
  if (both >= 0) log += "&" + std::to_string(both);
  const std::string why = decode(filled, fate);
  const bool room = why.find("no room") == std::string::npos;
  if (!room) {  // of a small window: llama.cpp does not write a cell again, as long as two sequences have it
    REQUIRE(llama_decode(stock_.get(), filled.batch) == 1);
    log += "(no room)";
  } else if (!why.empty() && fate == Fate::computed) {
    INFO(why);
    bool doubtful = false;
    for (std::size_t s = 0; s < count; ++s)
      doubtful = doubtful || ((to[s] > from[s] || static_cast<int>(s) == both) && doubtful_[s]);
    REQUIRE(doubtful);
    REQUIRE_THAT(why, Contains("must go on behind tokens that the store has read") || Contains("lost tokens before"));
    log += "(refused)";
  }
  if (!why.empty() && recurrent_) {  // its state cannot go back to before the batch: to be read anew
    exact_ = false;                  // llama.cpp may begin another sequence with what the batch left there
    for (std::size_t s = 0; s < count; ++s)
      if (to[s] > from[s]) remove(static_cast<int>(s));
    return;
  }
  // what is left of it
  Lengths begun;
  std::vector<int> lost;
  for (std::size_t s = 0; s < count; ++s) {
    const int there = newest(static_cast<int>(s)) + 1;
    REQUIRE((there == static_cast<int>(texts_[s].size()) || !why.empty()));
    begun.push_back(llama_memory_seq_pos_max(llama_get_memory(stock_.get()), static_cast<int>(s)) + 1);
    const bool part = to[s] > from[s] || static_cast<int>(s) == both;
    to[s] = there;
    texts_[s].resize(static_cast<std::size_t>(there));
    if (why.empty() && part) doubtful_[s] = false;
    if (!why.empty() && room && part && both >= 0) doubtful_[s] = true;
    if (!why.empty() && room && fate == Fate::computed && part && doubtful_[s]) lost.push_back(static_cast<int>(s));
  }
  Filled kept;
  for (std::size_t s = 0; both >= 0 && s < count; ++s) {  // what is left of a broken batch may be of the second sequence alone
    const auto second = static_cast<std::size_t>(both);
    if (s == second || to[s] <= begun[s]) continue;
    Lengths shared = begun;
    shared[s] = std::min(to[s], to[second]);
    fill(kept, begun, shared, false, both);
    begun[s] = begun[second] = shared[s];
  }
  fill(kept, begun, to, false, -1);
  if (kept.batch.n_tokens > 0) {
    copied_ = false;
    const int status = llama_decode(stock_.get(), kept.batch);
    if (status == 1) {  // what a broken batch has written is room in the attached context, and was copied in this one
      log += "(no room without a policy)";
      return clear();
    }
    REQUIRE(status == 0);
    if (why.empty()) compare(filled, kept);
  }
  for (const int s : lost) remove(s);
  for (int s = 0; s < sequences_ && window_ > 0 && !why.empty(); ++s)  // of a broken batch llama.cpp's windows may lack tokens
    if (llama_memory_seq_pos_min(memory(), s) > std::max(0, newest(s) + 2 - window_)) remove(s);
}

void OperationFuzz::compare(const Filled& ours, const Filled& theirs) const {
  for (std::size_t s = 0; s < ours.last.size(); ++s) {
    if (ours.last[s] < 0) continue;
    const float* const a = llama_get_logits_ith(attached_.context(), ours.last[s]);
    const float* const b = llama_get_logits_ith(stock_.get(), theirs.last[s]);
    float apart = 0, size = 0;
    for (int i = 0; i < vocabulary_; ++i) {
      REQUIRE(std::isfinite(a[i]));
      apart = std::max(apart, std::abs(a[i] - b[i]));
      size = std::max(size, std::abs(b[i]));
    }
    INFO("sequence " << s << " of " << sequences_ << ", " << texts_[s].size() << " tokens");
    if (same_ && exact_) REQUIRE(apart < 0.02f * size);  // stock decodes in half precision
  }
}

/// Whatever lies above the oldest position that is told can be cut, and what does not is refused and stays.
void OperationFuzz::cut(int s) {
  const int length = newest(s) + 1;
  if (length < 2 || recurrent_) return;
  const int at = draw(std::max(1, length - draw(1, length)), length - 1);
  llama_memory_t const stock = llama_get_memory(stock_.get());
  const int real = llama_memory_seq_pos_min(memory(), s);
  // a cache of windows must still hold all that the next token sees there: llama.cpp gives cells that have left theirs to others
  if (window_ > 0 && std::max(real, llama_memory_seq_pos_min(stock, s)) > std::max(0, at - window_)) return;
  const int oldest = llama::AttachedInternals::followed(attached_).oldest_position(s, real);
  log += " cut:" + std::to_string(s) + ":" + std::to_string(at);
  try {
    attached_.remove(s, at);
  } catch (const std::runtime_error& error) {
    REQUIRE_THAT(error.what(), Contains("behind the last eviction"));
    REQUIRE(at <= oldest);
    REQUIRE_FALSE((same_ && window_ == 0));
    REQUIRE(newest(s) == length - 1);
    log += "(refused)";
    return;
  }
  REQUIRE((at > oldest || oldest == real));
  REQUIRE(llama_memory_seq_rm(stock, s, at, -1));
  text(s).resize(static_cast<std::size_t>(at));
}

void OperationFuzz::remove(int s) {
  log += " rm:" + std::to_string(s);
  attached_.remove(s);
  llama_memory_seq_rm(llama_get_memory(stock_.get()), s, -1, -1);
  text(s).clear();
  doubtful_[static_cast<std::size_t>(s)] = false;
}

void OperationFuzz::copy(int s, int t) {
  if (s == t) return;
  remove(t);
  if (newest(s) < 0) return;
  log += " copy:" + std::to_string(s) + ":" + std::to_string(t);
  attached_.copy(s, t);
  copied_ = true;
  llama_memory_seq_cp(llama_get_memory(stock_.get()), s, t, -1, -1);
  text(t) = text(s);
  doubtful_[static_cast<std::size_t>(t)] = doubtful_[static_cast<std::size_t>(s)];
}

void OperationFuzz::clear() {
  log += " clear";
  attached_.clear();
  llama_memory_clear(llama_get_memory(stock_.get()), false);
  exact_ = true;
  for (int s = 0; s < sequences_; ++s) text(s).clear();
  doubtful_.assign(doubtful_.size(), false);
}

void OperationFuzz::save(int s) {
  // llama.cpp copies tensors to another stream with its next batch: until then its own state lacks them
  if (newest(s) < 0 || (kind_.streams && copied_) || doubtful_[static_cast<std::size_t>(s)]) return;
  log += " save:" + std::to_string(s);
  saved_ = attached_.save(s);
  stock_saved_.resize(llama_state_seq_get_size(stock_.get(), s));
  llama_state_seq_get_data(stock_.get(), stock_saved_.data(), stock_saved_.size(), s);
  saved_text_ = text(s);
}

void OperationFuzz::load(int s) {
  if (saved_.empty() || (kind_.streams && copied_)) return;  // the same: what is loaded would be copied, too
  log += " load:" + std::to_string(s);
  attached_.load(saved_, s);
  REQUIRE(llama_state_seq_set_data(stock_.get(), stock_saved_.data(), stock_saved_.size(), s) == stock_saved_.size());
  text(s) = saved_text_;
  doubtful_[static_cast<std::size_t>(s)] = false;
}

}  // namespace namm::test
