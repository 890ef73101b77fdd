// An allocation that fails, wherever that is on a batch's way: the batch fails and can be read again, or it was computed.
#include <algorithm>
#include <cmath>

#include "adapters/llama_cpp/context/attached_internals.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/failing_allocations.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

constexpr int kBefore = 40, kAfter = 100, kFewMore = 105, kEnd = 130;

struct RefusedReading {
  RefusedReading(const llama::LlamaModel& model, const std::string& name, ggml_type type, const std::vector<std::int32_t>& all)
      : attached(llama::attach(model.get(), params(type), policy(name))),
        tokens(all),
        vocabulary(llama_vocab_n_tokens(model.vocab())) {}
  static llama_context_params params(ggml_type type) {
    llama_context_params out = llama_context_default_params();
    out.n_ctx = 512;
    out.n_batch = 128;
    out.n_ubatch = 32;
    out.n_threads = out.n_threads_batch = 1;
    out.type_k = out.type_v = type;
    return out;
  }
  static CachePolicy policy(const std::string& name) {
    CachePolicy out = name == "full" ? full_memory() : load_policy(name).with_budget("30");
    return out.with_interval(48).with_protection(2, 6);
  }
  int newest() const { return llama_memory_seq_pos_max(llama_get_memory(attached.context()), 0); }
  void read_to(int length) {
    const int from = newest() + 1;
    attached.decode(llama_batch_get_one(tokens.data() + from, length - from));
  }
  /// As under `namm attach`, where nobody asks the store for anything between two batches. Behind the batch this allocation is
  /// refused (none: -1), of `asked`. False if the batch is told to have failed.
  bool read_to_untold(int length, int refused = -1) {
    llama::FollowedContext& followed = llama::AttachedInternals::followed(attached);
    const int from = newest() + 1;
    followed.before_batch();
    const int status = llama_decode(attached.context(), llama_batch_get_one(tokens.data() + from, length - from));
    llama_synchronize(attached.context());
    refuse_allocation(refused);
    bool done = false;
    try {
      done = followed.after_batch(status) == 0;
    } catch (const std::bad_alloc&) {
    }
    asked = allow_allocations();
    return done;
  }
  /// Of the store, as it is: Attached::usage() tries refused updates again.
  std::int64_t updates() const { return llama::AttachedInternals::store(attached).usage().updates; }
  std::vector<float> logits() const {
    const float* const row = llama_get_logits_ith(attached.context(), -1);
    return {row, row + vocabulary};
  }
  llama::Attached attached;
  std::vector<std::int32_t> tokens;
  int vocabulary;
  int asked = 0;
};

}  // namespace

// The first twenty allocations are refused one by one, of the others a sample. Of a q8_0 cache the graph is looked at with words
// that need memory, when llama.cpp builds it.
TEST_CASE("a batch for which memory is refused leaves no trace, or is whole", "[llama][broken][refused]") {
  if (!kAllocationsFail) return;
  struct Kind {
    const char *architecture, *policy;
    ggml_type type = GGML_TYPE_F16;
  };
  const Kind kind = GENERATE(values<Kind>({{"llama", "full"},
                                           {"llama", "h2o-mean"},
                                           {"llama", "default"},
                                           {"llama", "h2o-mean", GGML_TYPE_Q8_0},
                                           {"gemma2", "full"},
                                           {"gemma2", "h2o-mean"},
                                           {"gemma2", "default"}}));
  TinyShape shape;
  shape.layers = 2;
  shape.architecture = kind.architecture;
  if (kind.type == GGML_TYPE_Q8_0) shape.head_size = 64;
  const std::string name = kind.policy;
  const bool few = GENERATE(false, true);  // a batch of two parts, or one of a few tokens, whose entries are shared out
  CAPTURE(shape.architecture, name, ggml_type_name(kind.type), few);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(kEnd, shape.vocabulary, 5);
  RefusedReading straight(*model, name, kind.type, tokens);
  for (const int length : {kBefore, kAfter, kFewMore, kEnd})
    if (few || length != kFewMore) straight.read_to(length);
  const int end = few ? kFewMore : kAfter;
  int failed = 0;
  for (int number = 0;; number += 1 + number / 20) {
    CAPTURE(number);
    RefusedReading broken(*model, name, kind.type, tokens);
    broken.read_to(kBefore);
    if (few) broken.read_to(kAfter);
    bool threw = false;
    refuse_allocation(number);
    try {
      broken.read_to(end);
    } catch (const std::exception&) {
      threw = true;
    }
    const int asked = allow_allocations();
    if (asked <= number) {  // none was refused
      CHECK_FALSE(threw);
      break;
    }
    const bool computed = broken.newest() + 1 == end;
    CHECK((threw || computed));
    failed += !computed;
    llama::AttachedInternals::followed(broken.attached).verify();
    if (!computed) broken.read_to(end);
    broken.read_to(kEnd);
    const auto logits = broken.logits();
    REQUIRE(std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }));
    llama::AttachedInternals::followed(broken.attached).verify();
    // of a batch that was computed an update may be missing: that is what failed
    if (!computed || name == "full") REQUIRE(logits == straight.logits());
  }
  CHECK(failed > 20);
}

// The batch was computed; what is due behind it is refused memory, and comes inside the next one, before anything of that is
// placed: what a program then reads is what it reads where nothing was refused.
TEST_CASE("an update for which memory is refused comes in the next batch", "[llama][broken][refused]") {
  if (!kAllocationsFail) return;
  TinyShape shape;
  shape.layers = 2;
  shape.architecture = GENERATE("llama", "gemma2");
  const std::string name = GENERATE("h2o-mean", "default");
  CAPTURE(shape.architecture, name);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(kEnd, shape.vocabulary, 5);
  RefusedReading straight(*model, name, GGML_TYPE_F16, tokens);
  for (const int length : {kBefore, kAfter}) REQUIRE(straight.read_to_untold(length));
  const std::int64_t updates = straight.updates();
  for (const int length : {kFewMore, kEnd}) REQUIRE(straight.read_to_untold(length));
  int came_late = 0;
  for (int number = 0;; ++number) {
    CAPTURE(number);
    RefusedReading late(*model, name, GGML_TYPE_F16, tokens);
    REQUIRE(late.read_to_untold(kBefore));
    const bool done = late.read_to_untold(kAfter, number);
    REQUIRE(late.newest() + 1 == kAfter);
    if (late.asked <= number) break;             // none was refused
    if (done) CHECK(late.updates() == updates);  // there was another way
    came_late += late.updates() < updates;
    for (const int length : {kFewMore, kEnd}) REQUIRE(late.read_to_untold(length));
    CHECK(late.updates() == straight.updates());
    REQUIRE(late.logits() == straight.logits());
    llama::AttachedInternals::followed(late.attached).verify();
  }
  CHECK(came_late > 10);
}
