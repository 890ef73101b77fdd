// Numbers that go wrong on their way into the store: what is not finite stays where it came in, and every update has its budget.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "adapters/llama_cpp/store/cache_store.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/mask.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::llama;
using namespace namm::test;

namespace {

constexpr int kWrongHeads = 2, kWrongSize = 32, kWrongTokens = 200, kWrongChunk = 40, kWrongCells = 256;
constexpr std::size_t kWrongWidth = kWrongHeads * kWrongSize;

/// One layer, one query head for each KV head.
struct WrongRows {
  std::vector<float> keys, values, queries, output;
  WrongRows() : keys(kWrongTokens * kWrongWidth), values(keys.size()), queries(keys.size()), output(keys.size(), -7.0f) {
    std::mt19937 draw(3);
    std::normal_distribution<float> normal;
    for (auto* numbers : {&keys, &values, &queries})
      for (float& x : *numbers) x = normal(draw);
  }
  float* of(std::vector<float>& rows, int token, int head) {
    return rows.data() + static_cast<std::size_t>(token) * kWrongWidth + static_cast<std::size_t>(head) * kWrongSize;
  }
};

/// All tokens in chunks; `blind`: a token that sees nothing, not even itself.
void feed_wrong(CacheStore& store, WrongRows& rows, int blind = -1) {
  store.expect(0, true);
  store.add_layer(&store, {0, kWrongHeads, kWrongSize, kWrongSize}, kWrongCells);
  for (int at = 0; at < kWrongTokens; at += kWrongChunk) {
    Mask mask(kWrongChunk, kWrongCells);
    std::vector<std::int64_t> cells;
    for (int i = 0; i < kWrongChunk; ++i) {
      cells.push_back(at + i);
      for (int seen = 0; seen <= at + i && at + i != blind; ++seen)
        if (seen != blind) mask.see(i, seen);
    }
    const std::size_t row = static_cast<std::size_t>(at) * kWrongWidth;
    store.batch_begins();
    store.write_keys(0, rows.keys.data() + row, kWrongWidth, cells);
    store.write_values(0, rows.values.data() + row, kWrongWidth, cells.size());
    AttentionCall call;
    call.queries = rows.queries.data() + row;
    call.output = rows.output.data() + row;
    call.query_token_stride = call.output_token_stride = kWrongWidth;
    call.query_head_stride = call.output_head_stride = kWrongSize;
    call.query_heads = kWrongHeads;
    call.queries_per_stream = kWrongChunk;
    call.masks = {mask.view()};
    call.scale = 0.3f;
    store.attend(0, call);
    store.batch_done();
  }
}

CachePolicy small_budget(const std::string& name, SelectionMode mode) {
  CachePolicy out = load_policy(name).with_budget("48").with_interval(64).with_protection(2, 8);
  out.selection.mode = mode;
  return out;
}

/// Finds all tokens alike, as a network whose weights are zero.
class Indifferent final : public Policy {
 public:
  std::string_view name() const override { return "test-indifferent"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens&, std::span<float> scores) const override { std::fill(scores.begin(), scores.end(), 0.25f); }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Indifferent>(); }
  nlohmann::json to_json() const override { return {}; }
};

}  // namespace

TEST_CASE("a key or value that is not finite, in one head of one token, stays in that head", "[llama][numbers]") {
  constexpr int kToken = 50, kHead = 1;
  const std::string name = GENERATE("h2o", "h2o-mean", "tova", "snapkv", "knorm", "streaming", "random", "default");
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(), 7e4f);  // beyond halves
  const bool in_key = GENERATE(true, false);
  const SelectionMode mode = GENERATE(SelectionMode::uniform, SelectionMode::pooled);
  CAPTURE(name, bad, in_key);
  WrongRows clean, wrong;
  float* const row = wrong.of(in_key ? wrong.keys : wrong.values, kToken, kHead);
  row[3] = bad;
  CacheStore expected(small_budget(name, mode)), store(small_budget(name, mode));
  feed_wrong(expected, clean);
  feed_wrong(store, wrong);
  store.verify();
  CHECK(store.usage().updates == 3);
  store.update();
  CHECK(store.usage().entries <= 48 * kWrongHeads);
  const auto heads = store.content();
  REQUIRE(heads.size() == kWrongHeads);
  for (const HeadContent& head : heads) {
    REQUIRE(head.positions.size() >= 10);  // what is protected
    CHECK(std::is_sorted(head.positions.begin(), head.positions.end(), std::less_equal<>()));
    CHECK(head.positions[1] == 1);
    CHECK(head.positions[head.positions.size() - 8] == kWrongTokens - 8);
  }
  expected.update();
  if (mode == SelectionMode::uniform) CHECK(heads[0].positions == expected.content()[0].positions);
  // the head that it is not in, and the tokens before it, are as they were
  for (int token = 0; token < kWrongTokens; ++token) {
    if (mode == SelectionMode::pooled && token > 64) break;  // then the heads share a budget
    for (int d = 0; d < kWrongSize; ++d) REQUIRE(wrong.of(wrong.output, token, 0)[d] == clean.of(clean.output, token, 0)[d]);
    if (token < kToken)
      for (int d = 0; d < kWrongSize; ++d)
        REQUIRE(wrong.of(wrong.output, token, kHead)[d] == Approx(clean.of(clean.output, token, kHead)[d]).margin(1e-5));
  }
  // the token itself sees it
  if (std::isnan(bad)) {
    const float* const own = wrong.of(wrong.output, kToken, kHead);
    CHECK(std::any_of(own, own + kWrongSize, [](float x) { return std::isnan(x); }));
    if (in_key && load_policy(name).required().reads_attention()) CHECK(store.usage().nan_scores > 0);
  }
}

TEST_CASE("a token that sees nothing has no output and disturbs nobody", "[llama][numbers]") {
  const std::string name = GENERATE("full", "h2o-mean");
  CachePolicy policy = name == "full" ? full_memory() : small_budget(name, SelectionMode::uniform);
  WrongRows clean, wrong;
  CacheStore expected(policy), store(policy);
  feed_wrong(expected, clean);
  constexpr int kBlind = 60;
  feed_wrong(store, wrong, kBlind);
  store.verify();
  for (int d = 0; d < kWrongSize; ++d) CHECK(wrong.of(wrong.output, kBlind, 1)[d] == 0);
  CHECK(std::all_of(wrong.output.begin(), wrong.output.end(), [](float x) { return std::isfinite(x); }));
  for (int token = 0; token < kBlind; ++token)
    for (int d = 0; d < kWrongSize; ++d)
      REQUIRE(wrong.of(wrong.output, token, 1)[d] == Approx(clean.of(clean.output, token, 1)[d]).margin(1e-5));
}

TEST_CASE("where all tokens score the same the newest stay", "[llama][numbers]") {
  const SelectionMode mode = GENERATE(SelectionMode::uniform, SelectionMode::pooled);
  CachePolicy policy = small_budget("streaming", mode);
  policy.policy = std::make_shared<Indifferent>();
  WrongRows rows;
  CacheStore store(policy);
  feed_wrong(store, rows);
  store.update();
  std::vector<std::int32_t> expected = {0, 1};  // protected
  for (int at = kWrongTokens - 46; at < kWrongTokens; ++at) expected.push_back(at);
  for (const HeadContent& head : store.content()) CHECK(head.positions == expected);
  CHECK(store.usage().nan_scores == 0);
}

TEST_CASE("prompts of no token, of one, of multiples of the interval; a budget below the batch", "[llama][numbers]") {
  TinyShape shape;
  const auto model = LlamaModel::load(write_tiny_model(shape));
  const auto heads = static_cast<std::int64_t>(shape.layers * shape.kv_heads);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = 512;
  params.n_ubatch = 256;
  params.n_threads = params.n_threads_batch = 1;
  const CachePolicy policy = load_policy("h2o-mean").with_budget("24").with_interval(64).with_protection(2, 6);
  auto tokens = random_tokens(300, shape.vocabulary, 5);
  const auto read = [&](Attached& attached, int from, int to) {
    attached.decode(llama_batch_get_one(tokens.data() + from, to - from));
  };
  Attached attached = attach(model->get(), params, policy);
  CHECK_THROWS_WITH(read(attached, 0, 0), Contains("must have 1 to 512 tokens") && Contains("has 0"));
  attached.update();
  CHECK(attached.usage().entries == 0);
  read(attached, 0, 1);
  CHECK(attached.usage().entries == heads);
  attached.update();
  CHECK(attached.usage().entries == heads);
  for (const int length : {63, 64, 65, 127, 128, 129, 192}) {
    CAPTURE(length);
    Attached one = attach(model->get(), params, policy), two = attach(model->get(), params, policy);
    read(one, 0, length);
    // one batch is one update, however many intervals it is long; the tokens behind the last multiple wait
    CHECK(one.usage().updates == (length >= 64));
    CHECK(one.usage().entries == heads * (length >= 64 ? 24 : length));
    CHECK(one.usage().entries_peak == heads * length);
    for (int at = 0; at < length; ++at) read(two, at, at + 1);
    CHECK(two.usage().updates == length / 64);
    CHECK(two.usage().entries == heads * (length >= 64 ? 24 + length % 64 : length));
  }
}
