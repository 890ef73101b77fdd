// What evicted tokens leave behind: entries that stand for them.
#include "adapters/llama_cpp/store/evicted_means.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "adapters/llama_cpp/store/group_attention.hpp"
#include "base/bytes.hpp"
#include "kernels/half.hpp"
#include "kernels/rotation.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::test;
using llama::EvictedMeans;
using llama::HeadList;

namespace {

constexpr std::size_t kMeansSize = 48;

using KeyOrValue = std::vector<float>;

KeyOrValue drawn_row(std::mt19937& rng, float scale = 1) {
  std::normal_distribution<float> normal;
  KeyOrValue out(kMeansSize);
  for (float& x : out) x = kernels::half_to_float(kernels::float_to_half(scale * normal(rng)));
  return out;
}

HeadList list_with(const char* store, const std::vector<KeyOrValue>& keys, const std::vector<KeyOrValue>& values) {
  HeadList out(kMeansSize, kMeansSize, StatisticsSettings(), std::make_shared<llama::PageRegion>(), parse_row_formats(store));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::vector<std::uint16_t> key(kMeansSize), value(kMeansSize);
    kernels::floats_to_halves(keys[i].data(), key.data(), kMeansSize);
    kernels::floats_to_halves(values[i].data(), value.data(), kMeansSize);
    const auto cell = static_cast<std::int32_t>(i);
    out.append({&cell, 1}, {&cell, 1}, {key.data(), kMeansSize}, {value.data(), kMeansSize});
  }
  return out;
}

/// The attention of `queries` newest queries with two query heads, all entries seen. [query * 2 + head][size]
std::vector<float> attention_of(HeadList& list, const std::vector<float>& asked, int queries, float softcap = 0,
                                const float* sinks = nullptr) {
  llama::QueryGroup group;
  const std::size_t cells = 400;
  group.first.assign(cells, 0);
  group.last.assign(cells, queries - 1);
  for (int q = 0; q < queries; ++q) {
    group.queries.push_back(q);
    group.cells.push_back(399);
    group.positions.push_back(399);
  }
  std::vector<float> output(asked.size());
  llama::AttentionCall call;
  call.queries = asked.data();
  call.output = output.data();
  call.query_head_stride = call.output_head_stride = kMeansSize;
  call.query_token_stride = call.output_token_stride = 2 * kMeansSize;
  call.query_heads = 2;
  call.queries_per_stream = queries;
  call.scale = 0.3f;
  call.softcap = softcap;
  call.sinks = sinks;
  llama::attend_group({&list, 1}, group, call, 0);
  return output;
}

double largest_gap(const std::vector<float>& a, const std::vector<float>& b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, static_cast<double>(std::abs(a[i] - b[i])));
  return out;
}

std::vector<std::int32_t> each_of(std::size_t step, std::size_t count) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < count; i += step) out.push_back(static_cast<std::int32_t>(i));
  return out;
}

std::vector<std::byte> bytes_of(const HeadList& list) {
  std::vector<std::int32_t> rows(list.cells().empty() ? 0 : static_cast<std::size_t>(list.cells().back()) + 1);
  std::iota(rows.begin(), rows.end(), 0);
  ByteWriter count;
  list.save(count, rows);
  std::vector<std::byte> out(count.count());
  ByteWriter writer(out);
  list.save(writer, rows);
  return out;
}

}  // namespace

TEST_CASE("means of tokens that were alike leave attention as it was with all of them", "[llama][means]") {
  const auto [queries, softcap] = GENERATE(values<std::pair<int, float>>({{1, 0}, {3, 0}, {40, 0}, {1, 5}, {40, 5}}));
  CAPTURE(queries, softcap);
  std::mt19937 rng(5);
  std::vector<KeyOrValue> kinds_k, kinds_v, keys, values;
  for (int k = 0; k < 4; ++k) kinds_k.push_back(drawn_row(rng)), kinds_v.push_back(drawn_row(rng));
  // entries 0, 3, 6, ... are unlike all others and stay; the others are of four kinds, of different numbers
  for (int i = 0; i < 300; ++i) {
    const std::size_t kind = i < 72 ? 0 : i < 140 ? 1 : i < 222 ? 2 : 3;
    keys.push_back(i % 3 == 0 ? drawn_row(rng) : kinds_k[kind]);
    values.push_back(i % 3 == 0 ? drawn_row(rng) : kinds_v[kind]);
  }
  std::vector<float> asked(static_cast<std::size_t>(queries) * 2 * kMeansSize);
  std::normal_distribution<float> normal;
  for (float& x : asked) x = normal(rng);
  const float sinks[] = {0.5f, -1.0f};

  HeadList full = list_with("f16", keys, values), without = list_with("f16", keys, values),
           with = list_with("f16+4means", keys, values);
  without.evict(each_of(3, 300));
  with.evict(each_of(3, 300));
  CHECK(without.means().size() == 0);
  CHECK(with.means().size() == 4);
  CHECK(with.means().tokens() == 200);
  const auto wanted = attention_of(full, asked, queries, softcap, sinks);
  CHECK(largest_gap(attention_of(with, asked, queries, softcap, sinks), wanted) < 2e-5);
  CHECK(largest_gap(attention_of(without, asked, queries, softcap, sinks), wanted) > 0.1);
  CHECK(with.size() == 100);
}

TEST_CASE("means over several evictions, and in every format of rows", "[llama][means]") {
  const char* const store = GENERATE("f16+1means", "q8_0+1means", "q4_0+1means", "q8_0,q4_0+1means");
  CAPTURE(store);
  std::mt19937 rng(6);
  std::vector<KeyOrValue> keys, values;
  for (int i = 0; i < 90; ++i) keys.push_back(drawn_row(rng)), values.push_back(drawn_row(rng));
  HeadList list = list_with(store, keys, values);
  const kernels::RaggedHead all = list.view();
  std::vector<double> key(kMeansSize), value(kMeansSize);  // of 10 .. 89, as they are held
  for (std::size_t e = 10; e < 90; ++e)
    for (std::size_t d = 0; d < kMeansSize; ++d) {
      key[d] += kernels::key_number(all, e, d) / 80.0;
      value[d] += kernels::value_number(all, e, d) / 80.0;
    }
  std::vector<std::int32_t> kept(70);
  for (const std::size_t count : {70, 35, 34, 10}) {
    kept.resize(count);
    std::iota(kept.begin(), kept.end(), 0);
    list.evict(kept);
  }
  REQUIRE(list.means().size() == 1);
  CHECK(list.means().tokens() == 80);
  CHECK(list.means().bytes() == 4 * kMeansSize + 4);

  // one query over the ten that stay and the mean, in double
  const kernels::RaggedHead held = list.view();
  std::vector<float> asked(2 * kMeansSize);
  std::normal_distribution<float> normal;
  for (float& x : asked) x = normal(rng);
  const auto got = attention_of(list, asked, 1);
  for (std::size_t h = 0; h < 2; ++h) {
    KeyOrValue query(asked.begin() + static_cast<std::ptrdiff_t>(h * kMeansSize),
                     asked.begin() + static_cast<std::ptrdiff_t>((h + 1) * kMeansSize));
    if (kernels::is_rotated(held.key_format)) kernels::rotate_row(query.data(), kMeansSize);
    std::vector<double> sum(kMeansSize);
    double total = 0;
    for (std::size_t e = 0; e <= 10; ++e) {
      double dot = 0;
      for (std::size_t d = 0; d < kMeansSize; ++d) dot += query[d] * (e < 10 ? kernels::key_number(held, e, d) : key[d]);
      const double weight = std::exp(0.3 * dot) * (e < 10 ? 1 : 80);
      total += weight;
      for (std::size_t d = 0; d < kMeansSize; ++d) sum[d] += weight * (e < 10 ? kernels::value_number(held, e, d) : value[d]);
    }
    KeyOrValue wanted(kMeansSize);
    for (std::size_t d = 0; d < kMeansSize; ++d) wanted[d] = static_cast<float>(sum[d] / total);
    if (kernels::is_rotated(held.value_format)) kernels::rotate_row(wanted.data(), kMeansSize);
    for (std::size_t d = 0; d < kMeansSize; ++d)
      CHECK(got[h * kMeansSize + d] == Approx(wanted[d]).margin(1e-3));  // means are halves
  }
}

TEST_CASE("means: fewer tokens than means, tokens that are not finite, more of them than a mean has", "[llama][means]") {
  std::mt19937 rng(7);
  std::vector<KeyOrValue> keys, values;
  for (int i = 0; i < 20; ++i) keys.push_back(drawn_row(rng)), values.push_back(drawn_row(rng));
  keys[3][5] = std::numeric_limits<float>::quiet_NaN();
  values[4][0] = std::numeric_limits<float>::infinity();
  HeadList list = list_with("f16+4means", keys, values);
  list.evict(std::vector<std::int32_t>{0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  CHECK(list.means().size() == 0);  // the two that went were not finite
  list.evict(std::vector<std::int32_t>{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
  CHECK(list.means().size() == 2);
  CHECK(list.means().tokens() == 2);
  list.evict(std::vector<std::int32_t>{0});
  CHECK(list.means().size() == 4);
  CHECK(list.means().tokens() == 17);
  const HeadList copy = list.duplicate(std::make_shared<llama::PageRegion>());
  CHECK(copy.means().tokens() == 17);
  CHECK(list.kv_bytes() > list.means().bytes());
  list.keep({});  // tokens that are gone for another reason leave nothing
  CHECK(list.means().tokens() == 17);
}

TEST_CASE("means come back with a saved list, and damaged ones are refused", "[llama][means]") {
  std::mt19937 rng(8);
  std::vector<KeyOrValue> keys, values;
  for (int i = 0; i < 60; ++i) keys.push_back(drawn_row(rng)), values.push_back(drawn_row(rng));
  HeadList list = list_with("f16+3means", keys, values);
  list.evict(each_of(6, 60));
  const std::vector<std::byte> bytes = bytes_of(list);
  const auto restored = [&](const std::vector<std::byte>& from) {
    HeadList out = list_with("f16+3means", {}, {});
    ByteReader in(from);
    out.restore(in, 60);
    return out;
  };
  HeadList back = restored(bytes);
  CHECK(back.means().tokens() == 50);
  const std::vector<float> asked(2 * kMeansSize, 0.25f);
  CHECK(attention_of(back, asked, 1) == attention_of(list, asked, 1));

  // number of entries, rows, keys and values; then number of means and how many tokens each stands for
  const std::size_t at = 8 + list.size() * (4 + 4 * kMeansSize);
  const auto damaged = [&](std::size_t offset, auto value) {
    std::vector<std::byte> out = bytes;
    std::memcpy(out.data() + offset, &value, sizeof value);
    return out;
  };
  CHECK_THROWS_WITH(restored(damaged(at, std::uint64_t{4})), Contains("means of a head must be from 0 to 3, is 4"));
  CHECK_THROWS_WITH(restored(damaged(at + 8, std::uint32_t{0})), Contains("means of evicted tokens") && Contains("damaged"));
  CHECK_THROWS_WITH(restored(damaged(at + 8 + 12, std::uint16_t{0x7c00})), Contains("finite"));
  CHECK_THROWS(restored({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at + 40)}));
}
