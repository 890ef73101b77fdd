// The store without llama.cpp: random rows in, statistics and outputs out.
#include "adapters/llama_cpp/store/cache_store.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "base/bytes.hpp"
#include "tests/check.hpp"
#include "tests/llama/mask.hpp"

using namespace namm;
using namespace namm::llama;
using namespace namm::test;

namespace {

constexpr int kHeads = 2, kQueryHeads = 4, kSize = 32, kCells = 512;

/// Keeps a copy of what it is shown and finds all tokens equal.
class Spy final : public Policy {
 public:
  struct Seen {
    std::vector<std::vector<float>> statistics;
    std::vector<std::int32_t> positions;
    bool operator==(const Seen&) const = default;
  };
  std::string_view name() const override { return "test-spy"; }
  StatisticSet required() const override {
    return Statistic::spectrogram | Statistic::accumulated | Statistic::queries_seen | Statistic::last_row |
           Statistic::window_mean | Statistic::key_norm | Statistic::value_norm;
  }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    std::fill(scores.begin(), scores.end(), 1.0f);
    Seen copy;
    for (const auto& s : {tokens.spectrogram, tokens.accumulated, tokens.queries_seen, tokens.last_row, tokens.window_mean,
                          tokens.key_norm, tokens.value_norm})
      copy.statistics.emplace_back(s.begin(), s.end());
    copy.positions.assign(tokens.positions.begin(), tokens.positions.end());
    const std::lock_guard<std::mutex> lock(mutex);
    seen[{tokens.layer, tokens.kv_head}] = std::move(copy);
    ++calls;
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Spy>(); }
  nlohmann::json to_json() const override { return {}; }

  mutable std::mutex mutex;
  mutable std::map<std::pair<int, int>, Seen> seen;
  mutable int calls = 0;
};

/// Feeds `tokens` random rows in chunks; returns the outputs of all layers.
std::vector<float> feed(CacheStore& store, const std::vector<int>& layers, int tokens, int chunk, int threads) {
  constexpr std::size_t kKv = kHeads * kSize, kQ = kQueryHeads * kSize;
  std::mt19937 draw(9);
  std::normal_distribution<float> normal;
  std::vector<float> keys(layers.size() * tokens * kKv), values(keys.size()), queries(layers.size() * tokens * kQ),
      output(queries.size());
  for (auto* numbers : {&keys, &values, &queries})
    for (float& x : *numbers) x = normal(draw);
  for (int at = 0; at < tokens; at += chunk) {
    const int count = std::min(chunk, tokens - at);
    std::vector<std::int64_t> cells;
    std::vector<std::int32_t> own, before;
    for (int i = 0; i < at; ++i) before.push_back(i);
    for (int i = at; i < at + count; ++i) {
      cells.push_back(i);
      own.push_back(i);
    }
    Mask mask(count, kCells);
    mask.causal(own, before);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const std::size_t row = l * tokens + at;
      store.write_keys(layers[l], keys.data() + row * kKv, kKv, cells);
      store.write_values(layers[l], values.data() + row * kKv, kKv, cells.size());
      AttentionCall call;
      call.queries = queries.data() + row * kQ;
      call.output = output.data() + row * kQ;
      call.query_token_stride = call.output_token_stride = kQ;
      call.query_head_stride = call.output_head_stride = kSize;
      call.query_heads = kQueryHeads;
      call.queries_per_stream = count;
      call.masks = {mask.view()};
      call.scale = 0.3f;
      call.threads = threads;
      store.attend(layers[l], call);
    }
  }
  store.batch_done();
  return output;
}

struct Run {
  std::shared_ptr<Spy> spy = std::make_shared<Spy>();
  std::vector<float> output;
};

Run run(int chunk, int threads) {
  Run out;
  CachePolicy memory;
  memory.policy = out.spy;
  memory.interval_tokens = 1 << 20;
  CacheStore store(memory);
  for (const int layer : {0, 1}) store.add_layer(&store, {layer, kHeads, kSize, kSize}, kCells);
  out.output = feed(store, {0, 1}, 200, chunk, threads);
  store.update();
  return out;
}

double apart(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}

std::vector<std::byte> saved_bytes(const CacheStore& store, const SavedRows& rows) {
  const auto nobody = [](std::int64_t) { return CacheStore::Names(); };
  ByteWriter size;
  store.save(size, {&rows, 1}, nobody);
  std::vector<std::byte> bytes(size.count());
  ByteWriter out(bytes);
  store.save(out, {&rows, 1}, nobody);
  return bytes;
}

}  // namespace

TEST_CASE("CacheStore: chunks of any size give the same statistics and outputs", "[llama][store]") {
  const Run whole = run(200, 1);
  REQUIRE(whole.spy->seen.size() == 4);
  for (const int chunk : {1, 7, 16, 33, 128}) {
    const Run other = run(chunk, 1);
    INFO("chunks of " << chunk << ": outputs apart " << apart(whole.output, other.output));
    CHECK(apart(whole.output, other.output) < 1e-5);
    for (const auto& [key, seen] : whole.spy->seen) {
      const Spy::Seen& now = other.spy->seen.at(key);
      CHECK(now.positions == seen.positions);
      for (std::size_t s = 0; s < seen.statistics.size(); ++s) {
        INFO("statistic " << s << " apart " << apart(seen.statistics[s], now.statistics[s]));
        CHECK(apart(seen.statistics[s], now.statistics[s]) < 1e-5);
      }
    }
  }
}

TEST_CASE("CacheStore: the number of threads does not change a bit", "[llama][store]") {
  for (const int chunk : {1, 50, 200}) {
    const Run one = run(chunk, 1), two = run(chunk, 2);
    CHECK(one.output == two.output);
    CHECK(one.spy->seen == two.spy->seen);
  }
}

TEST_CASE("CacheStore: layers of two caches, one behind the other, make one batch", "[llama][store]") {
  auto spy = std::make_shared<Spy>();
  CachePolicy memory;
  memory.policy = spy;
  memory.interval_tokens = 20;
  CacheStore store(memory);
  const int window = 0, global = 0;  // two addresses
  for (const int layer : {0, 1}) store.add_layer(&window, {layer, kHeads, kSize, kSize}, kCells);
  for (const int layer : {2, 3}) store.add_layer(&global, {layer, kHeads, kSize, kSize}, kCells);
  feed(store, {0, 1, 2, 3}, 100, 10, 1);
  const CacheUsage usage = store.usage();
  CHECK(usage.tokens_seen == 100);
  CHECK(usage.entries == 100 * 4 * kHeads);
  CHECK(usage.entries_full == usage.entries);
  CHECK(usage.updates == 2 * 5);  // each cache's sequence on its own
  CHECK(spy->calls == 5 * 4 * kHeads);
}

TEST_CASE("CacheStore: reset forgets and a layer must be announced", "[llama][store]") {
  CacheStore store(CachePolicy{});
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  const auto first = feed(store, {0}, 70, 70, 1);
  CHECK(store.usage().entries == 70 * kHeads);
  store.reset(CachePolicy{});
  CHECK(store.usage().entries == 0);
  CHECK(store.usage().kv_bytes == 0);
  CHECK(feed(store, {0}, 70, 70, 1) == first);
  CHECK_THROWS_AS(feed(store, {5}, 1, 1, 1), std::logic_error);
}

TEST_CASE("CacheStore: what a long batch is staged in is not kept", "[llama][store]") {
  CacheStore store(CachePolicy{});
  for (const int layer : {0, 1}) store.add_layer(&store, {layer, kHeads, kSize, kSize}, kCells);
  feed(store, {0, 1}, 400, 400, 1);
  const CacheUsage usage = store.usage();
  CHECK(usage.statistics_bytes_peak >= usage.statistics_bytes + 400 * kHeads * kSize * 2 * 2);
}

TEST_CASE("CacheStore: layers that read the cache of another are refused", "[llama][store]") {
  CacheStore store(CachePolicy{});
  for (const int layer : {0, 1}) store.add_layer(&store, {layer, kHeads, kSize, kSize}, kCells);
  feed(store, {0}, 4, 4, 1);
  Mask mask(4, kCells);
  mask.causal({0, 1, 2, 3});
  AttentionCall call;
  call.queries_per_stream = 4;
  call.masks = {mask.view()};
  CHECK_THROWS_WITH(store.attend(0, call), Contains("keys and values of its own") && Contains("layer 0"));
}

TEST_CASE("CacheStore: a sequence has as many mappings as layers", "[llama][store][pages]") {
  const auto mappings = [] {
    std::ifstream in("/proc/self/maps");
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  };
  CacheStore store(CachePolicy{});
  std::vector<int> layers(40);
  std::iota(layers.begin(), layers.end(), 0);
  for (const int layer : layers) store.add_layer(&store, {layer, kHeads, kSize, kSize}, kCells);
  const auto before = mappings();
  feed(store, layers, 400, 7, 1);
  // and not two for each of its lists, 160
  CHECK(mappings() - before <= 40 + 20);
  CHECK(store.usage().entries == 400 * 40 * kHeads);
}

TEST_CASE("CacheStore: a saved position that cannot be counted on from is refused", "[llama][store]") {
  CacheStore store(CachePolicy{});
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  feed(store, {0}, 20, 20, 1);
  SavedRows rows{&store, 0, {300}};  // one that nobody has, so that rows are not positions
  for (int cell = 0; cell < 20; ++cell) rows.cells.push_back(cell);
  std::vector<std::byte> bytes = saved_bytes(store, rows);
  const auto read = [&] {
    ByteReader in(bytes);
    return store.read(in);
  };
  CHECK_NOTHROW(read());
  int changed = 0;
  const auto number = [&](std::size_t at) {
    std::int32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  for (std::size_t at = 8; at + 8 <= bytes.size(); ++at)  // the last of the positions 0 to 19, wherever they are; rows go to 20
    if (number(at) == 19 && number(at - 4) == 18 && number(at - 8) == 17 && number(at + 4) != 20) {
      const std::int32_t last = INT32_MAX - 1;
      std::memcpy(bytes.data() + at, &last, sizeof last);
      ++changed;
    }
  CHECK(changed == 1 + kHeads);
  CHECK_THROWS_WITH(read(), Contains("position below 1073741824"));
}

TEST_CASE("CacheStore: heads that have not seen the same queries are refused", "[llama][store]") {
  CachePolicy memory;
  memory.policy = make_policy("namm");  // spectrogram: 16 rows before the hop, 1 of it
  CacheStore store(memory);
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  feed(store, {0}, 17, 17, 1);
  SavedRows rows{&store, 0, {}};
  for (int cell = 0; cell < 17; ++cell) rows.cells.push_back(cell);
  std::vector<std::byte> bytes = saved_bytes(store, rows);
  const auto read = [&] {
    ByteReader in(bytes);
    return store.read(in);
  };
  CHECK_NOTHROW(read());
  // the newest row of the last head goes: its length, its numbers, and 1 in front of them
  bytes.resize(bytes.size() - sizeof(std::uint64_t) - 17 * sizeof(float));
  std::uint32_t count = 0;
  std::memcpy(&count, bytes.data() + bytes.size() - sizeof count, sizeof count);
  REQUIRE(count == 1);
  std::memset(bytes.data() + bytes.size() - sizeof count, 0, sizeof count);
  CHECK_THROWS_WITH(read(), Contains("as many queries"));
}

TEST_CASE("CacheStore: cells of a batch that is refused are not held twice", "[llama][store]") {
  CacheStore store(CachePolicy{});
  store.expect(0, true);
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  const std::vector<float> rows(static_cast<std::size_t>(kCells * kQueryHeads * kSize), 0.5f);
  std::vector<float> output(rows.size());
  const auto batch = [&](const std::vector<std::int32_t>& own, const std::vector<std::int32_t>& before) {
    const std::vector<std::int64_t> cells(own.begin(), own.end());
    Mask mask(static_cast<int>(own.size()), kCells);
    mask.causal(own, before);
    store.batch_begins();
    store.write_keys(0, rows.data(), kHeads * kSize, cells);
    store.write_values(0, rows.data(), kHeads * kSize, cells.size());
    AttentionCall call;
    call.queries = rows.data();
    call.output = output.data();
    call.query_token_stride = call.output_token_stride = kQueryHeads * kSize;
    call.query_head_stride = call.output_head_stride = kSize;
    call.query_heads = kQueryHeads;
    call.queries_per_stream = static_cast<int>(own.size());
    call.masks = {mask.view()};
    store.attend(0, call);
    store.batch_done();
  };
  batch({0, 1, 2, 3, 4}, {});
  batch({10, 11}, {});
  // the runtime cut the end off, then read a token that is seen with those of another sequence
  CHECK_THROWS_WITH(batch({4}, {0, 1, 2, 3, 10}), Contains("two sequences"));
  store.batch_broken({});
  batch({4}, {0, 1, 2, 3});
  CHECK(store.usage().entries == 7 * kHeads);
}

TEST_CASE("CacheStore: positions of a batch that is refused are given again", "[llama][store]") {
  CacheStore store(CachePolicy{});
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  const std::vector<float> rows(static_cast<std::size_t>(kCells * kQueryHeads * kSize), 0.5f);
  std::vector<float> output(rows.size());
  const auto send = [&](const std::vector<std::int32_t>& own, const Mask& mask) {
    const std::vector<std::int64_t> cells(own.begin(), own.end());
    store.batch_begins();
    store.write_keys(0, rows.data(), kHeads * kSize, cells);
    store.write_values(0, rows.data(), kHeads * kSize, cells.size());
    AttentionCall call;
    call.queries = rows.data();
    call.output = output.data();
    call.query_token_stride = call.output_token_stride = kQueryHeads * kSize;
    call.query_head_stride = call.output_head_stride = kSize;
    call.query_heads = kQueryHeads;
    call.queries_per_stream = static_cast<int>(own.size());
    call.masks = {mask.view()};
    store.attend(0, call);
    store.batch_done();
  };
  const auto batch = [&](const std::vector<std::int32_t>& own, const std::vector<std::int32_t>& before) {
    Mask mask(static_cast<int>(own.size()), kCells);
    mask.causal(own, before);
    send(own, mask);
  };
  const auto refused = [&] {  // the first query goes on with one sequence, the second sees two
    Mask mask(2, kCells);
    mask.causal({5, 6}, {0, 1, 2, 3, 4});
    mask.see(1, 10);
    send({5, 6}, mask);
  };
  batch({0, 1, 2, 3, 4}, {});
  batch({10, 11}, {});
  CHECK_THROWS_WITH(refused(), Contains("two sequences"));
  store.batch_broken({});
  batch({5}, {0, 1, 2, 3, 4});
  const auto heads = store.content();
  REQUIRE(heads.size() == kHeads);
  CHECK(heads[0].positions == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
  CHECK(store.usage().tokens_seen == 6 + 2);
}

TEST_CASE("CacheStore: what is left of a broken batch is told by what went on, also of branches", "[llama][store]") {
  CacheStore store(CachePolicy{});
  store.expect(0, true);
  store.add_layer(&store, {0, kHeads, kSize, kSize}, kCells);
  const std::vector<float> rows(static_cast<std::size_t>(kCells * kQueryHeads * kSize), 0.5f);
  std::vector<float> output(rows.size());
  const auto part = [&](const std::vector<std::int32_t>& own, const std::vector<std::int32_t>& before) {
    const std::vector<std::int64_t> cells(own.begin(), own.end());
    Mask mask(static_cast<int>(own.size()), kCells);
    mask.causal(own, before);
    store.write_keys(0, rows.data(), kHeads * kSize, cells);
    store.write_values(0, rows.data(), kHeads * kSize, cells.size());
    AttentionCall call;
    call.queries = rows.data();
    call.output = output.data();
    call.query_token_stride = call.output_token_stride = kQueryHeads * kSize;
    call.query_head_stride = call.output_head_stride = kSize;
    call.query_heads = kQueryHeads;
    call.queries_per_stream = static_cast<int>(own.size());
    call.masks = {mask.view()};
    store.attend(0, call);
  };
  const std::vector<std::int32_t> trunk = {0, 1, 2, 3};
  store.batch_begins();
  part(trunk, {});
  store.batch_done();
  REQUIRE(store.sequences().size() == 1);
  SECTION("tokens of one sequence each") {
    store.branched(store.sequences()[0].key);  // A and B begin with the trunk
    store.batch_begins();
    part({4, 5}, trunk);  // of A
    part({6, 7}, trunk);  // of B
    const bool kept = GENERATE(true, false);
    // B went on, too, or A alone
    store.batch_broken(kept ? std::vector<PositionRange>{{4, 5}, {4, 5}} : std::vector<PositionRange>{{4, 5}});
    CHECK(store.sequences()[0].open_to == -1);
    CHECK(store.usage().entries == (kept ? 8 : 6) * kHeads);
    // A goes on first, which sees nothing of B, then B
    store.batch_begins();
    part({20}, {0, 1, 2, 3, 4, 5});
    store.batch_done();
    CHECK(store.usage().entries == (kept ? 9 : 7) * kHeads);
    store.batch_begins();
    if (kept) {
      part({21}, {0, 1, 2, 3, 6, 7});
      store.batch_done();
      CHECK(store.usage().entries == 10 * kHeads);
    } else {  // it believes to have tokens that nobody computed: refused, and nothing of it stays
      CHECK_THROWS_WITH(part({21}, {0, 1, 2, 3, 6, 7}), Contains("tokens that the store has read"));
      store.batch_broken({});
      CHECK(store.usage().entries == 7 * kHeads);
      store.batch_begins();
      part({21}, trunk);
      store.batch_done();
      CHECK(store.usage().entries == 8 * kHeads);
    }
    store.verify();
  }
  SECTION("a part of one sequence behind a part that two have") {
    store.batch_begins();
    part({4, 5, 6, 7}, trunk);
    part({8, 9}, {0, 1, 2, 3, 4, 5, 6, 7});
    // four tokens of two sequences; the second part, which would be at 8 and 9, is gone
    store.batch_broken(std::vector<PositionRange>{{4, 7}, {4, 7}});
    CHECK(store.usage().tokens_seen == 8);
    CHECK(store.usage().entries == 8 * kHeads);
    store.verify();
  }
  SECTION("tokens of two sequences, of which the runtime removes one") {
    store.batch_begins();
    part({4, 5}, trunk);
    store.batch_broken(std::vector<PositionRange>{{4, 5}});
    CHECK(store.usage().entries == 6 * kHeads);
    store.branched(store.sequences()[0].key);  // as the context tells: another sequence has the trunk
    store.batch_begins();
    part({6, 7}, trunk);
    store.batch_done();
    CHECK(store.usage().entries == 8 * kHeads);
    store.verify();
  }
}
