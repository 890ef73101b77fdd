// A batch that is stopped or fails, wherever that is: the program looks what is left, goes on, and nothing may tell that it was.
#include <algorithm>

#include "adapters/llama_cpp/context/attached_internals.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/sanitizers.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

#if defined(NAMM_ASAN) || defined(NAMM_TSAN)
constexpr int kStep = 4;  // of the nodes that batches are stopped at: five times as slow
#else
constexpr int kStep = 1;
#endif

constexpr int kUbatch = 32, kInterval = 48, kSequences = 2;

/// Stops a decode at the call `at` of the abort callback, which llama.cpp asks before every node.
struct Stop {
  int calls = 0, at = -1;
  static bool callback(void* data) {
    auto* const stop = static_cast<Stop*>(data);
    return stop->calls++ == stop->at;
  }
};

/// Throws at the look `at` at attention: behind it everything of that layer has been appended.
class Thrower final : public Observer {
 public:
  std::string_view name() const override { return "test-thrower"; }
  bool wants_attention() const override { return true; }
  void on_attention(const AttentionRows&) override {
    if (looks++ == at) throw std::runtime_error("thrown on purpose");
  }
  int looks = 0, at = -1;
};

struct Program {
  Program(const std::shared_ptr<const llama::LlamaModel>& model, const CachePolicy& policy, bool streams, bool told)
      : attached(llama::attach(model->get(), params(streams), policy)),
        told_(told),
        vocabulary_(llama_vocab_n_tokens(model->vocab())) {
    llama_set_abort_callback(attached.context(), Stop::callback, &stop);
    for (int s = 0; s < kSequences; ++s) tokens_.push_back(random_tokens(400, vocabulary_, 20u + static_cast<unsigned>(s)));
  }

  static llama_context_params params(bool streams) {
    llama_context_params out = llama_context_default_params();
    out.n_ctx = 1024;
    out.n_batch = 128;
    out.n_ubatch = kUbatch;
    out.n_seq_max = kSequences;
    out.kv_unified = !streams;
    out.n_threads = out.n_threads_batch = 1;
    return out;
  }

  int newest(int sequence) const { return llama_memory_seq_pos_max(llama_get_memory(attached.context()), sequence); }

  /// Evaluates each sequence up to this many tokens, in one batch, from where it is. False if that was broken off.
  bool read_to(std::vector<int> lengths) {
    llama_batch batch = llama_batch_init(256, 0, 1);
    for (int s = 0; s < static_cast<int>(lengths.size()); ++s)
      for (int at = newest(s) + 1; at < lengths[static_cast<std::size_t>(s)]; ++at) {
        const int i = batch.n_tokens++;
        batch.token[i] = tokens_[static_cast<std::size_t>(s)][static_cast<std::size_t>(at)];
        batch.pos[i] = at;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = s;
        batch.logits[i] = 1;
      }
    bool done = true;
    if (batch.n_tokens > 0) {
      if (told_) {
        try {
          attached.decode(batch);
        } catch (const std::runtime_error&) {
          done = false;
        }
      } else {
        done = llama_decode(attached.context(), batch) == 0;
      }
      if (done) {
        const float* const row = llama_get_logits_ith(attached.context(), -1);
        logits.emplace_back(row, row + vocabulary_);
      }
    }
    llama_batch_free(batch);
    return done;
  }

  Stop stop;
  llama::Attached attached;
  std::vector<std::vector<float>> logits;  ///< of the last token of every batch

 private:
  bool told_;
  int vocabulary_;
  std::vector<std::vector<std::int32_t>> tokens_;
};

CachePolicy policy_named(const std::string& name) {
  CachePolicy out = name == "full" ? full_memory() : load_policy(name).with_budget(Budget{Budget::Unit::tokens, 30});
  return out.with_interval(kInterval).with_protection(2, 6);
}

/// What follows the batch that may be broken off.
void go_on(Program& program, int from) {
  program.read_to({from + 1, 0});
  program.read_to({from + 20, 70});
  for (int i = 1; i <= 3; ++i) program.read_to({from + 20 + i, 70 + i});
  program.read_to({from + 70, 100});
}

void require_same(Program& broken, Program& straight) {
  const std::size_t last = std::min<std::size_t>(6, straight.logits.size());
  REQUIRE(broken.logits.size() >= last);
  for (std::size_t i = 1; i <= last; ++i)
    REQUIRE(broken.logits[broken.logits.size() - i] == straight.logits[straight.logits.size() - i]);
  const auto a = broken.attached.content(), b = straight.attached.content();
  REQUIRE(a.size() == b.size());
  for (std::size_t h = 0; h < a.size(); ++h) REQUIRE(a[h].positions == b[h].positions);
  const CacheUsage used = broken.attached.usage(), expected = straight.attached.usage();
  REQUIRE(used.entries == expected.entries);
  REQUIRE(used.updates == expected.updates);
  REQUIRE(used.tokens_seen == expected.tokens_seen);
  REQUIRE(used.kv_bytes == expected.kv_bytes);
}

}  // namespace

TEST_CASE("a batch that is stopped at any node and read again leaves no trace", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 2;
  struct Case {
    const char *architecture, *policy;
    bool streams, told;
  };
  const Case one = GENERATE(Case{"llama", "full", false, true}, Case{"llama", "streaming", false, true},
                            Case{"llama", "h2o-mean", false, true}, Case{"llama", "h2o-mean", false, false},
                            Case{"llama", "default", true, true}, Case{"gemma2", "default", false, true},
                            Case{"gemma2", "snapkv", false, false});
  shape.architecture = one.architecture;
  const std::string name = one.policy;
  const bool streams = one.streams, told = one.told;
  CAPTURE(shape.architecture, name, streams, told);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const CachePolicy policy = policy_named(name);
  // 40 tokens, then two parts of which each crosses an interval for one of the sequences, or a single token that does
  const bool single = GENERATE(false, true);
  const std::vector<int> before = {single ? 47 : 40, 30}, lengths = {single ? 48 : 80, single ? 30 : 54};
  Program straight(model, policy, streams, told);
  REQUIRE(straight.read_to({before[0], 0}));
  REQUIRE(straight.read_to({before[0], before[1]}));
  straight.stop.calls = 0;
  REQUIRE(straight.read_to(lengths));
  const int nodes = straight.stop.calls;
  REQUIRE(nodes > 20);
  go_on(straight, lengths[0]);
  for (int at = 0; at < nodes; at += kStep) {
    CAPTURE(at, nodes);
    Program broken(model, policy, streams, told);
    REQUIRE(broken.read_to({before[0], 0}));
    REQUIRE(broken.read_to({before[0], before[1]}));
    broken.stop.calls = 0;
    broken.stop.at = at;
    REQUIRE_FALSE(broken.read_to(lengths));
    broken.stop.at = -1;
    if (at % 2 == 0) CHECK(broken.attached.usage().entries >= 0);  // asks, which must not settle what is gone
    REQUIRE(broken.read_to(lengths));
    go_on(broken, lengths[0]);
    require_same(broken, straight);
  }
}

TEST_CASE("a batch that fails in a layer and is read again leaves no trace", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 3;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const std::string name = GENERATE("streaming", "h2o-mean", "default");
  CAPTURE(name);
  const auto run = [&](int at, std::shared_ptr<Thrower>& thrower) {
    CachePolicy policy = policy_named(name);
    policy.observer = thrower = std::make_shared<Thrower>();
    auto program = std::make_unique<Program>(model, policy, false, true);
    REQUIRE(program->read_to({40, 0}));
    REQUIRE(program->read_to({40, 30}));
    thrower->looks = 0;
    thrower->at = at;
    const bool done = program->read_to({80, 54});
    REQUIRE(done == (at < 0));
    thrower->at = -1;
    const int looks = thrower->looks;
    if (!done) REQUIRE(program->read_to({80, 54}));
    thrower->looks = looks;
    return program;
  };
  std::shared_ptr<Thrower> thrower;
  const auto straight = run(-1, thrower);
  const int looks = thrower->looks;
  REQUIRE(looks >= 3 * 2 * 2);
  go_on(*straight, 80);
  for (int at = 0; at < looks; at += kStep) {
    CAPTURE(at, looks);
    const auto broken = run(at, thrower);
    go_on(*broken, 80);
    require_same(*broken, *straight);
  }
}

TEST_CASE("a batch that is stopped leaves the checks of cuts as they were", "[llama][broken]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  Program program(model, policy_named("streaming"), false, true);
  REQUIRE(program.read_to({100, 0}));
  REQUIRE(program.read_to({100, 20}));
  CHECK_THROWS_WITH(program.attached.remove(0, 90), Contains("behind the last eviction"));
  for (const int at : {0, 5, 12, 20, 30}) {
    CAPTURE(at);
    program.stop.calls = 0;
    program.stop.at = at;
    REQUIRE_FALSE(program.read_to({130, 20}));
    program.stop.at = -1;
    CHECK_THROWS_WITH(program.attached.remove(0, 90), Contains("behind the last eviction"));
    CHECK_NOTHROW(program.attached.remove(1, 15));
    REQUIRE(program.read_to({100, 20}));
  }
}

TEST_CASE("a batch that is stopped in a model with a recurrent state is not gone on from", "[llama][broken]") {
  TinyShape shape;
  shape.architecture = "jamba";
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  Program straight(model, policy_named("streaming"), false, true);
  REQUIRE(straight.read_to({40, 0}));
  straight.stop.calls = 0;
  REQUIRE(straight.read_to({60, 0}));
  const int nodes = straight.stop.calls;
  REQUIRE(straight.read_to({61, 0}));
  int refused = 0;
  for (int at = 0; at < nodes; at += kStep) {  // before and behind attention, in the second of three layers
    CAPTURE(at, nodes);
    Program broken(model, policy_named("streaming"), false, true);
    REQUIRE(broken.read_to({40, 0}));
    broken.stop.calls = 0;
    broken.stop.at = at;
    REQUIRE_FALSE(broken.read_to({60, 0}));
    broken.stop.at = -1;
    if (broken.newest(0) != 39) {  // llama.cpp could not remove it
      CHECK_FALSE(broken.read_to({61, 0}));
      ++refused;
      broken.attached.remove(0);
      REQUIRE(broken.read_to({40, 0}));
    }
    REQUIRE(broken.read_to({60, 0}));
    REQUIRE(broken.read_to({61, 0}));
    CHECK(broken.logits.back() == straight.logits.back());
  }
  CHECK(refused > 0);
}

TEST_CASE("a batch of branches that is stopped at any node and read again leaves no trace", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 2;
  shape.architecture = GENERATE("llama", "gemma2");
  const std::string name = GENERATE("full", "h2o-mean");
  // one part, or three of which the second has tokens of both
  const std::vector<int> lengths = GENERATE(std::vector<int>{60, 0}, std::vector<int>{80, 76}, std::vector<int>{50, 50});
  const bool asks = GENERATE(false, true);
  CAPTURE(shape.architecture, name, lengths, asks);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const CachePolicy policy = policy_named(name);
  const auto begun = [&] {
    auto program = std::make_unique<Program>(model, policy, false, true);
    REQUIRE(program->read_to({40, 0}));
    program->attached.copy(0, 1);
    program->stop.calls = 0;
    return program;
  };
  const auto straight = begun();
  REQUIRE(straight->read_to(lengths));
  const int nodes = straight->stop.calls;
  go_on(*straight, lengths[0]);
  for (int at = 0; at < nodes; at += kStep) {
    CAPTURE(at, nodes);
    const auto broken = begun();
    broken->stop.at = at;
    REQUIRE_FALSE(broken->read_to(lengths));
    broken->stop.at = -1;
    if (asks) CHECK(broken->attached.usage().entries > 0);
    REQUIRE(broken->read_to(lengths));
    go_on(*broken, lengths[0]);
    require_same(*broken, *straight);
  }
}

TEST_CASE("a part that nobody told about is not taken for computed because another sequence has its length", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 2;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const CachePolicy policy = policy_named("h2o-mean");
  const bool told = false;
  const auto begun = [&] {
    auto program = std::make_unique<Program>(model, policy, false, told);
    REQUIRE(program->read_to({40, 0}));
    CHECK(program->attached.usage().tokens_seen == 40);
    REQUIRE(program->read_to({40, 72}));
    CHECK(program->attached.usage().tokens_seen == 112);
    program->stop.calls = 0;
    return program;
  };
  const auto straight = begun();
  REQUIRE(straight->read_to({72, 72}));
  const int nodes = straight->stop.calls;
  for (int at = nodes - 6; at < nodes; ++at) {
    CAPTURE(at, nodes);
    const auto broken = begun();
    broken->stop.at = at;
    REQUIRE_FALSE(broken->read_to({72, 72}));
    broken->stop.at = -1;
    CHECK(broken->attached.usage().tokens_seen == 112);
    REQUIRE(broken->read_to({72, 72}));
    CHECK(broken->attached.usage().entries == straight->attached.usage().entries);
    CHECK(broken->logits.back() == straight->logits.back());
  }
}

TEST_CASE("what an aborted part held is gone before another sequence takes its cells", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 2;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const std::string name = GENERATE("full", "h2o-mean");
  const int from = GENERATE(0, 40);
  CAPTURE(name, from);
  const CachePolicy policy = policy_named(name);
  const auto begun = [&] {
    auto program = std::make_unique<Program>(model, policy, false, false);
    if (from > 0) REQUIRE(program->read_to({from, 0}));
    program->stop.calls = 0;
    return program;
  };
  int nodes = 0;
  {
    const auto counting = begun();
    REQUIRE(counting->read_to({from + 30, 0}));
    nodes = counting->stop.calls;
  }
  const auto straight = begun();
  REQUIRE(straight->read_to({from, 20}));
  REQUIRE(straight->read_to({from + 30, 20}));
  for (int at = 0; at < nodes; at += kStep) {
    CAPTURE(at, nodes);
    const auto broken = begun();
    broken->stop.at = at;
    REQUIRE_FALSE(broken->read_to({from + 30, 0}));
    broken->stop.at = -1;
    REQUIRE(broken->read_to({from, 20}));
    REQUIRE(broken->read_to({from + 30, 20}));
    CHECK(broken->logits.back() == straight->logits.back());
    CHECK(broken->attached.usage().entries == straight->attached.usage().entries);
    CHECK(broken->attached.usage().tokens_seen == straight->attached.usage().tokens_seen);
  }
}

TEST_CASE("a batch that is stopped behind a cut leaves the length that was cut to", "[llama][broken]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2");  // a cut that one of two caches has seen is made in both
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  int nodes = 0;
  for (int at = -1; at < nodes; at += kStep) {
    CAPTURE(at, nodes);
    Program program(model, policy_named("full"), false, true);
    REQUIRE(program.read_to({100, 0}));
    program.attached.remove(0, 95);
    program.stop.calls = 0;
    program.stop.at = at;
    REQUIRE(program.read_to({120, 0}) == (at < 0));
    if (at < 0) {
      nodes = program.stop.calls;
    } else if (at > nodes / 2) {  // the cut is seen with the first mask
      CHECK(program.attached.usage().tokens_seen == 95);
    }
    llama::AttachedInternals::followed(program.attached).verify();
  }
}

TEST_CASE("an update behind a cut is not in view of what was cut off", "[llama][broken]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2");
  const bool streams = GENERATE(false, true);
  CAPTURE(shape.architecture, streams);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const CachePolicy policy = policy_named("streaming").with_interval(512);
  Program straight(model, policy, streams, true), cut(model, policy, streams, true);
  REQUIRE(straight.read_to({80, 20}));
  REQUIRE(cut.read_to({90, 20}));
  cut.attached.remove(0, 80);
  for (Program* const program : {&straight, &cut}) {
    program->attached.update();
    REQUIRE(program->read_to({81, 20}));
    REQUIRE(program->read_to({100, 70}));
  }
  CHECK(cut.logits.back() == straight.logits.back());
  CHECK(cut.attached.usage().entries == straight.attached.usage().entries);
  CHECK(cut.attached.usage().entries < cut.attached.usage().entries_full);
}

TEST_CASE("an update that is asked for leaves out what was removed", "[llama][broken]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const CachePolicy policy = policy_named("h2o-mean");
  Program straight(model, policy, false, false);
  REQUIRE(straight.read_to({40, 0}));
  straight.stop.calls = 0;
  REQUIRE(straight.read_to({47, 0}));
  const int nodes = straight.stop.calls;
  Program expected(model, policy, false, false), broken(model, policy, false, false);
  for (Program* const program : {&expected, &broken}) REQUIRE(program->read_to({40, 0}));
  broken.stop.calls = 0;
  broken.stop.at = nodes - 1;
  REQUIRE_FALSE(broken.read_to({47, 0}));
  broken.stop.at = -1;
  for (Program* const program : {&expected, &broken}) {
    program->attached.update();
    REQUIRE(program->read_to({47, 0}));
  }
  require_same(broken, expected);
}

TEST_CASE("a window and a full cache hold what they must after a broken batch", "[llama][broken]") {
  TinyShape shape;
  shape.layers = 2;
  shape.architecture = "gemma2";
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const CachePolicy policy = policy_named("full").with_interval(kInterval);
  int nodes = 1;
  for (int at = -1; at < nodes; at += kStep) {
    CAPTURE(at, nodes);
    Program program(model, policy, false, true);
    REQUIRE(program.read_to({90, 0}));  // longer than the window
    program.stop.calls = 0;
    program.stop.at = at;
    REQUIRE(program.read_to({150, 0}) == (at < 0));
    program.stop.at = -1;
    if (at < 0) nodes = program.stop.calls;
    const int there = program.newest(0) + 1;
    CHECK(program.attached.usage().tokens_seen == there);
    REQUIRE(program.read_to({150, 0}));
    int whole = 0;
    for (const HeadContent& head : program.attached.content()) {
      REQUIRE_FALSE(head.positions.empty());
      CHECK(head.positions.back() == 149);
      // none is missing, none twice
      CHECK(head.positions.back() - head.positions.front() + 1 == static_cast<std::int32_t>(head.positions.size()));
      CHECK(head.positions.front() <= 150 - shape.window);
      whole += head.positions.front() == 0;
    }
    CHECK(whole >= shape.kv_heads);
  }
}
