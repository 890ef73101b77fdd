// Sequences with a stream of the cache each: a copy goes on as if it had been read itself.
#include <sys/resource.h>

#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/sanitizers.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

struct Streams {
  Streams(const llama::LlamaModel& model, const CachePolicy& policy) : attached(llama::attach(model.get(), params(), policy)) {}

  static llama_context_params params() {
    llama_context_params out = llama_context_default_params();
    out.n_ctx = 3 * 512;
    out.n_batch = out.n_ubatch = 64;
    out.n_seq_max = 3;
    out.kv_unified = false;
    out.n_threads = out.n_threads_batch = 1;
    return out;
  }

  /// Reads tokens behind a sequence; the logits of the last.
  std::vector<float> read(int sequence, std::span<const std::int32_t> tokens, int chunk = 32) {
    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(attached.context())));
    std::vector<float> out;
    for (std::size_t at = 0; at < tokens.size(); at += static_cast<std::size_t>(chunk)) {
      llama_batch batch = llama_batch_init(chunk, 0, 1);
      int position = llama_memory_seq_pos_max(llama_get_memory(attached.context()), sequence) + 1;
      for (const std::int32_t token : tokens.subspan(at, std::min(tokens.size() - at, static_cast<std::size_t>(chunk)))) {
        const int i = batch.n_tokens++;
        batch.token[i] = token;
        batch.pos[i] = position++;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = sequence;
        batch.logits[i] = 1;
      }
      attached.decode(batch);
      llama_batch_free(batch);
      const float* const row = llama_get_logits_ith(attached.context(), -1);
      out.assign(row, row + vocabulary);
    }
    return out;
  }

  llama::Attached attached;
};

}  // namespace

TEST_CASE("a copy in another stream goes on as if it had been read", "[llama][sequences]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  const std::string name = GENERATE("full", "h2o-mean", "default");
  CAPTURE(shape.architecture, name);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  CachePolicy policy = name == "full" ? full_memory() : load_policy(name).with_budget(Budget{Budget::Unit::tokens, 30});
  policy = policy.with_interval(32).with_protection(2, 6);
  const auto prompt = random_tokens(100, 64, 3), a = random_tokens(50, 64, 4), b = random_tokens(50, 64, 5);
  const auto straight = [&](const std::vector<std::int32_t>& then) {
    Streams fresh(*model, policy);
    fresh.read(0, prompt);
    return fresh.read(0, then, 1);
  };
  const auto with_a = straight(a), with_b = straight(b);
  REQUIRE(with_a != with_b);
  Streams copied(*model, policy);
  copied.read(1, b);  // what the copy takes the place of
  copied.read(0, prompt);
  copied.attached.copy(0, 1);
  copied.attached.copy(0, 2);
  CHECK(copied.read(1, a, 1) == with_a);
  CHECK(copied.read(0, b, 1) == with_b);
  copied.attached.remove(0);
  CHECK(copied.read(2, a, 1) == with_a);
  const CacheUsage usage = copied.attached.usage();
  CHECK(usage.tokens_seen == 300);
  CHECK(usage.entries_full >= usage.entries);
  if (name != "full") CHECK_THROWS_WITH(copied.attached.remove(2, 90), Contains("behind the last eviction"));
}

#if !defined(NAMM_ASAN) && !defined(NAMM_TSAN)  // they map memory of their own
TEST_CASE("a copy for which there is no memory is refused, and the copy with it", "[llama][sequences]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  Streams program(*model, full_memory());
  const auto prompt = random_tokens(400, 64, 3), more = random_tokens(10, 64, 4);
  program.read(0, prompt);
  rlimit before = {};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  const rlimit none = {1 << 20, before.rlim_max};  // less than there is: nothing more is mapped
  REQUIRE(setrlimit(RLIMIT_AS, &none) == 0);
  std::string why;
  try {
    program.attached.copy(0, 1);
  } catch (const std::exception& error) {
    why = error.what();
  }
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
  CHECK_THAT(why, Contains("was to be copied, which failed") && Contains("remove the copy"));
  CHECK(program.attached.usage().tokens_seen == 400);
  program.attached.remove(1);
  program.attached.copy(0, 1);
  CHECK(program.read(1, more) == program.read(0, more));
}
#endif
