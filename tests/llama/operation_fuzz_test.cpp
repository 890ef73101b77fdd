// Whatever a program does to a context: random operations on an attached one and, side by side, on one without a policy.
// NAMM_FUZZ_SEQUENCES=N runs N sequences of each kind instead of a few, NAMM_FUZZ_SEED begins elsewhere.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kRuns = 1;
#else
constexpr unsigned kRuns = 3;
#endif
constexpr int kMostTokens = 300;  // of a sequence

struct Kind {
  const char *architecture, *policy;
  int budget;  // tokens; one that is never reached leaves everything as without a policy
  bool streams;
};

struct Stopper {
  int calls = 0, at = -1;
  static bool callback(void* data) {
    auto* const stop = static_cast<Stopper*>(data);
    return stop->calls++ == stop->at;
  }
};

class Fuzz {
 public:
  Fuzz(const llama::LlamaModel& model, const Kind& kind, unsigned seed)
      : random_(seed),
        streams_(kind.streams),
        recurrent_(std::string(kind.architecture) == "jamba"),
        same_(kind.budget > kMostTokens),
        vocabulary_(llama_vocab_n_tokens(model.vocab())),
        sequences_(draw(2, 4)),
        attached_(llama::attach(model.get(), params(), policy_of(kind))),
        stock_(llama_init_from_model(model.get(), params()), llama_free),
        texts_(static_cast<std::size_t>(sequences_)) {
    llama_set_abort_callback(attached_.context(), Stopper::callback, &stop_);
  }

  void step() {
    const int what = draw(0, 99), s = draw(0, sequences_ - 1);
    if (what < 45) return read(false);
    if (what < 60) return read(!recurrent_);  // a recurrent state cannot go back to before the batch, without a policy either
    if (what < 72) return cut(s);
    if (what < 78) return remove(s);
    if (what < 86) return copy(s, draw(0, sequences_ - 1));
    if (what < 88) return clear();
    if (what < 95) return save(s);
    load(s);
  }

  void check() {
    const CacheUsage usage = attached_.usage();
    std::int64_t tokens = 0;
    for (int s = 0; s < sequences_; ++s) {
      REQUIRE(newest(s) == static_cast<int>(texts_[static_cast<std::size_t>(s)].size()) - 1);
      tokens += newest(s) + 1;
    }
    REQUIRE(usage.entries <= usage.entries_full);
    REQUIRE(usage.kv_bytes <= usage.kv_bytes_peak);
    if (tokens == 0) REQUIRE(usage.entries == 0);
    if (tokens > 0 && !recurrent_) REQUIRE(usage.entries > 0);
    for (const HeadContent& head : attached_.content())
      REQUIRE(std::is_sorted(head.positions.begin(), head.positions.end(), std::less_equal<>()));
  }

  std::string log;  ///< what was done

 private:
  int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  llama_context_params params() const {
    llama_context_params out = llama_context_default_params();
    out.n_ctx = static_cast<std::uint32_t>(512 * 4 * (streams_ ? sequences_ : 1));
    out.n_batch = 128;
    out.n_ubatch = 32;
    out.n_seq_max = static_cast<std::uint32_t>(sequences_);
    out.kv_unified = !streams_;
    out.swa_full = true;
    out.n_threads = out.n_threads_batch = 1;
    out.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    return out;
  }

  static CachePolicy policy_of(const Kind& kind) {
    const std::string name = kind.policy;
    CachePolicy out = name == "full"
                          ? full_memory()
                          : load_policy(name).with_budget(Budget{Budget::Unit::tokens, static_cast<double>(kind.budget)});
    return out.with_interval(16).with_protection(2, 6);
  }

  llama_memory_t memory() const { return llama_get_memory(attached_.context()); }
  int newest(int s) const { return llama_memory_seq_pos_max(memory(), s); }

  struct Filled {
    llama_batch batch = llama_batch_init(512, 0, 1);
    std::vector<int> last;  // row of each sequence's last token, -1 = none
    ~Filled() { llama_batch_free(batch); }
  };

  /// Of each sequence the tokens from `from` to `to`.
  void fill(Filled& filled, const std::vector<int>& from, const std::vector<int>& to) const {
    for (std::size_t s = 0; s < from.size(); ++s) {
      filled.last.push_back(-1);
      for (int at = from[s]; at < to[s]; ++at) {
        const int i = filled.batch.n_tokens++;
        filled.batch.token[i] = texts_[s][static_cast<std::size_t>(at)];
        filled.batch.pos[i] = at;
        filled.batch.n_seq_id[i] = 1;
        filled.batch.seq_id[i][0] = static_cast<llama_seq_id>(s);
        filled.batch.logits[i] = 1;
        filled.last.back() = i;
      }
    }
  }

  void read(bool broken) {
    std::vector<int> from, to;
    int left = 100;
    for (auto& text : texts_) {
      from.push_back(static_cast<int>(text.size()));
      const int count = draw(0, 2) == 0 ? 0 : std::min({left, draw(0, 1) ? draw(1, 4) : draw(1, 50), kMostTokens - from.back()});
      for (int i = 0; i < count; ++i) text.push_back(draw(0, vocabulary_ - 1));
      left -= count;
      to.push_back(static_cast<int>(text.size()));
    }
    Filled filled;
    fill(filled, from, to);
    if (filled.batch.n_tokens == 0) return;
    log += broken ? " stopped" : " read";
    for (std::size_t s = 0; s < from.size(); ++s) log += ":" + std::to_string(to[s] - from[s]);
    stop_.calls = 0;
    stop_.at = broken ? draw(0, 150) : -1;
    bool done = true;
    try {
      attached_.decode(filled.batch);
    } catch (const std::runtime_error& error) {
      done = false;
      // Open: branches of a sequence that has left its windows may be refused, never silently (gemma2, seed 102).
      if (!broken && branched_ && windows && !streams_) {
        CHECK_THAT(error.what(), Contains("window still held"));
        return clear();
      }
    }
    stop_.at = -1;
    REQUIRE((done || broken));
    // what is left of it
    for (std::size_t s = 0; s < from.size(); ++s) {
      const int there = newest(static_cast<int>(s)) + 1;
      REQUIRE((there == to[s] || !done));
      to[s] = there;
      texts_[s].resize(static_cast<std::size_t>(there));
    }
    Filled kept;
    fill(kept, from, to);
    if (kept.batch.n_tokens == 0) return;
    copied_ = false;
    REQUIRE(llama_decode(stock_.get(), kept.batch) == 0);
    if (!done) return;
    for (std::size_t s = 0; s < from.size(); ++s) {
      if (filled.last[s] < 0) continue;
      const float* const ours = llama_get_logits_ith(attached_.context(), filled.last[s]);
      const float* const theirs = llama_get_logits_ith(stock_.get(), kept.last[s]);
      float apart = 0, size = 0;
      for (int i = 0; i < vocabulary_; ++i) {
        REQUIRE(std::isfinite(ours[i]));
        apart = std::max(apart, std::abs(ours[i] - theirs[i]));
        size = std::max(size, std::abs(theirs[i]));
      }
      if (same_) REQUIRE(apart < 0.02f * size);  // stock decodes in half precision
    }
  }

  void cut(int s) {
    const int length = newest(s) + 1;
    if (length < 2 || recurrent_) return;
    const int at = draw(std::max(1, length - draw(1, length)), length - 1);
    log += " cut:" + std::to_string(s) + ":" + std::to_string(at);
    try {
      attached_.remove(s, at);
    } catch (const std::runtime_error& error) {
      CHECK_THAT(error.what(), Contains("behind the last eviction"));
      REQUIRE(!same_or_windows());
      REQUIRE(newest(s) == length - 1);
      log += "(refused)";
      return;
    }
    REQUIRE(llama_memory_seq_rm(llama_get_memory(stock_.get()), s, at, -1));
    texts_[static_cast<std::size_t>(s)].resize(static_cast<std::size_t>(at));
  }

  /// True if nothing may ever limit a cut.
  bool same_or_windows() const { return same_ && !windows; }

  void remove(int s) {
    log += " rm:" + std::to_string(s);
    attached_.remove(s);
    llama_memory_seq_rm(llama_get_memory(stock_.get()), s, -1, -1);
    texts_[static_cast<std::size_t>(s)].clear();
  }

  void copy(int s, int t) {
    if (s == t || newest(s) < 0) return;
    remove(t);
    log += " copy:" + std::to_string(s) + ":" + std::to_string(t);
    attached_.copy(s, t);
    copied_ = branched_ = true;
    llama_memory_seq_cp(llama_get_memory(stock_.get()), s, t, -1, -1);
    texts_[static_cast<std::size_t>(t)] = texts_[static_cast<std::size_t>(s)];
  }

  void clear() {
    log += " clear";
    attached_.clear();
    llama_memory_clear(llama_get_memory(stock_.get()), false);
    for (auto& text : texts_) text.clear();
  }

  void save(int s) {
    // llama.cpp copies tensors to another stream with its next batch: until then its own state lacks them
    if (newest(s) < 0 || (streams_ && copied_)) return;
    log += " save:" + std::to_string(s);
    saved_ = attached_.save(s);
    stock_saved_.resize(llama_state_seq_get_size(stock_.get(), s));
    llama_state_seq_get_data(stock_.get(), stock_saved_.data(), stock_saved_.size(), s);
    saved_text_ = texts_[static_cast<std::size_t>(s)];
  }

  void load(int s) {
    if (saved_.empty() || (streams_ && copied_)) return;  // the same: what is loaded would be copied, too
    log += " load:" + std::to_string(s);
    attached_.load(saved_, s);
    REQUIRE(llama_state_seq_set_data(stock_.get(), stock_saved_.data(), stock_saved_.size(), s) == stock_saved_.size());
    texts_[static_cast<std::size_t>(s)] = saved_text_;
  }

 public:
  bool windows = false;

 private:
  std::mt19937 random_;
  bool streams_, recurrent_, same_;
  bool copied_ = false;  // since the last batch
  bool branched_ = false;
  int vocabulary_, sequences_;
  llama::Attached attached_;
  std::unique_ptr<llama_context, void (*)(llama_context*)> stock_;
  std::vector<std::vector<std::int32_t>> texts_;
  Stopper stop_;
  std::vector<std::byte> saved_;
  std::vector<std::uint8_t> stock_saved_;
  std::vector<std::int32_t> saved_text_;
};

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* const value = std::getenv(name);
  return value && *value ? static_cast<unsigned>(std::strtoul(value, nullptr, 10)) : otherwise;
}

}  // namespace

TEST_CASE("random operations, beside a context without a policy", "[llama][fuzz]") {
  const Kind kind =
      GENERATE(Kind{"llama", "full", 1000, false}, Kind{"llama", "full", 1000, true}, Kind{"llama", "h2o-mean", 1000, false},
               Kind{"llama", "streaming", 1000, true}, Kind{"gemma2", "h2o-mean", 1000, false}, Kind{"jamba", "full", 1000, true},
               Kind{"llama", "streaming", 24, false}, Kind{"llama", "h2o-mean", 24, true}, Kind{"gemma2", "default", 24, false},
               Kind{"llama", "default", 24, false});
  TinyShape shape;
  shape.layers = 2;
  shape.architecture = kind.architecture;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const unsigned first = from_environment("NAMM_FUZZ_SEED", 1), count = from_environment("NAMM_FUZZ_SEQUENCES", kRuns);
  for (unsigned seed = first; seed < first + count; ++seed) {
    Fuzz fuzz(*model, kind, seed);
    fuzz.windows = shape.architecture == "gemma2";
    for (int step = 0; step < 40; ++step) {
      INFO("NAMM_FUZZ_SEED=" << seed << ", " << kind.architecture << " " << kind.policy << " " << kind.budget
                             << (kind.streams ? " streams" : " unified") << ":" << fuzz.log);
      fuzz.step();
      fuzz.check();
    }
  }
}
