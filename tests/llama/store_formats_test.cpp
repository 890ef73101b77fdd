// Keys and values held in 8 or 4 bits: attention sees exactly the numbers that are held, and half the bytes and more are gone.
#include <cmath>
#include <random>

#include "adapters/llama_cpp/store/group_attention.hpp"
#include "kernels/half.hpp"
#include "kernels/rotation.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/process_memory.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// The keys and values of a list as the model means them, not rotated, [entry][size].
struct Held {
  std::vector<float> keys, values;
  explicit Held(const llama::HeadList& list) {
    const kernels::RaggedHead head = list.view();
    for (std::size_t e = 0; e < list.size(); ++e) {
      for (std::size_t d = 0; d < head.key_size; ++d) keys.push_back(kernels::key_number(head, e, d));
      for (std::size_t d = 0; d < head.value_size; ++d) values.push_back(kernels::value_number(head, e, d));
      if (kernels::is_rotated(head.key_format)) kernels::rotate_row(&keys[e * head.key_size], head.key_size);
      if (kernels::is_rotated(head.value_format)) kernels::rotate_row(&values[e * head.value_size], head.value_size);
    }
  }
};

std::int64_t bytes_after(const std::shared_ptr<const llama::LlamaModel>& model, const CachePolicy& memory,
                         std::span<const std::int32_t> tokens, std::vector<std::vector<float>>& logits) {
  ContextSettings settings;
  settings.memory = memory;
  Context context(model, settings);
  logits = context.evaluate(tokens.first(tokens.size() - 10), 64);
  for (auto& row : context.evaluate(tokens.last(10), 1)) logits.push_back(std::move(row));
  return context.store()->usage().kv_bytes;
}

}  // namespace

TEST_CASE("attention over a store's lists equals a double computation from the numbers that they hold", "[llama][store]") {
  const std::string store = GENERATE("f16", "q8_0", "q4_0", "q8_0,q4_0", "q4_0,q8_0");
  const auto [size, queries] = GENERATE(values<std::pair<std::size_t, int>>({{64, 1}, {64, 40}, {80, 3}, {96, 1}, {33, 2}}));
  CAPTURE(store, size, queries);
  constexpr int kGroup = 3;
  constexpr std::int32_t kEntries = 700;
  std::mt19937 rng(7);
  std::normal_distribution<float> normal;
  std::vector<llama::HeadList> heads;
  const auto region = std::make_shared<llama::PageRegion>();
  for (int h = 0; h < 2; ++h) {
    heads.emplace_back(size, size, StatisticsSettings(), region, parse_row_formats(store));
    for (std::int32_t cell = 0; cell < kEntries; ++cell) {
      std::vector<std::uint16_t> key(size), value(size);
      for (std::size_t d = 0; d < size; ++d) key[d] = kernels::float_to_half(normal(rng) + (d == 5 ? 4.0f : 0.0f));
      for (std::size_t d = 0; d < size; ++d) value[d] = kernels::float_to_half(normal(rng));
      heads[static_cast<std::size_t>(h)].append({&cell, 1}, {&cell, 1}, {key.data(), size}, {value.data(), size});
    }
  }
  llama::QueryGroup group;
  group.first.assign(kEntries, 0);
  group.last.assign(kEntries, queries - 1);
  for (int q = 0; q < queries; ++q) {
    const std::int32_t cell = kEntries - queries + q;
    group.queries.push_back(q);
    group.cells.push_back(cell);
    group.positions.push_back(cell);
    group.first[static_cast<std::size_t>(cell)] = q;
  }
  const std::size_t rows = static_cast<std::size_t>(queries) * 2 * kGroup;
  std::vector<float> asked(rows * size), output(rows * size);
  for (float& x : asked) x = normal(rng);
  llama::AttentionCall call;
  call.queries = asked.data();
  call.output = output.data();
  call.query_head_stride = call.output_head_stride = size;
  call.query_token_stride = call.output_token_stride = 2 * kGroup * size;
  call.query_heads = 2 * kGroup;
  call.queries_per_stream = queries;
  call.scale = 1 / std::sqrt(static_cast<float>(size));
  call.threads = 2;
  llama::attend_group(heads, group, call, 0);
  const Held all[] = {Held(heads[0]), Held(heads[1])};
  double worst = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const Held& held = all[r % (2 * kGroup) / kGroup];
    const std::size_t seen = static_cast<std::size_t>(kEntries - queries) + r / (2 * kGroup) + 1;
    std::vector<double> wanted(size);
    double sum = 0;
    for (std::size_t e = 0; e < seen; ++e) {
      double dot = 0;
      for (std::size_t d = 0; d < size; ++d) dot += static_cast<double>(asked[r * size + d]) * held.keys[e * size + d];
      const double weight = std::exp(dot * call.scale);
      sum += weight;
      for (std::size_t d = 0; d < size; ++d) wanted[d] += weight * held.values[e * size + d];
    }
    for (std::size_t d = 0; d < size; ++d) worst = std::max(worst, std::abs(output[r * size + d] - wanted[d] / sum));
  }
  CHECK(worst < 5e-6);
}

TEST_CASE("keys and values in q8_0: nearly the same logits, about half the bytes", "[llama][store]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  CAPTURE(shape.architecture);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(2000, shape.vocabulary, 31);
  std::vector<std::vector<float>> halves, codes, values_only;
  const std::int64_t before = bytes_after(model, full_memory(), tokens, halves);
  const std::int64_t after = bytes_after(model, full_memory().with_store("q8_0"), tokens, codes);
  const std::int64_t between = bytes_after(model, full_memory().with_store("f16,q8_0"), tokens, values_only);
  INFO(before << " bytes, then " << after << ", values alone " << between << "; logits apart "
              << largest_difference(codes, halves) / largest(halves));
  CHECK(static_cast<double>(after) < 0.62 * static_cast<double>(before));  // 8.5 of 16 bits, in whole pages
  CHECK((between > after && between < before));
  CHECK(largest_difference(codes, halves) < 0.05 * largest(halves));
  CHECK(largest_difference(codes, halves) > 0);
  CHECK(largest_difference(values_only, halves) > 0);
}

TEST_CASE("keys and values in q4_0: fewer bytes still, and the error is of 4 bits", "[llama][store]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "jamba");
  CAPTURE(shape.architecture);
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(2000, shape.vocabulary, 31);
  std::vector<std::vector<float>> halves, eight, four, mixed;
  const std::int64_t f16 = bytes_after(model, full_memory(), tokens, halves);
  const std::int64_t q8 = bytes_after(model, full_memory().with_store("q8_0"), tokens, eight);
  const std::int64_t q4 = bytes_after(model, full_memory().with_store("q4_0"), tokens, four);
  const std::int64_t between = bytes_after(model, full_memory().with_store("q8_0,q4_0"), tokens, mixed);
  const double all = largest(halves);
  INFO(f16 << " bytes, then " << q8 << ", " << between << ", " << q4 << "; logits apart "
           << largest_difference(eight, halves) / all << ", " << largest_difference(mixed, halves) / all << ", "
           << largest_difference(four, halves) / all);
  CHECK(static_cast<double>(q4) < 0.37 * static_cast<double>(f16));  // 4.5 of 16 bits, in whole pages
  CHECK((q4 < between && between < q8));
  // steps of an eighth in place of a 127th are 16 times as large; the logits do not answer in proportion
  CHECK(largest_difference(four, halves) < 24 * largest_difference(eight, halves));
  CHECK(largest_difference(mixed, halves) > largest_difference(eight, halves));
  CHECK(largest_difference(four, halves) > largest_difference(eight, halves));
}

TEST_CASE("a share of the bytes is as many bytes in every format, and more tokens in fewer bits", "[llama][store]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(2000, TinyShape().vocabulary, 32);
  const auto held_of = [&](const std::string& budget, const std::string& store) {
    ContextSettings settings;
    settings.memory = load_policy("streaming").with_budget(parse_budget(budget)).with_store(store);
    Context context(model, settings);
    context.evaluate(tokens, 64);
    context.store()->update();
    const CacheUsage usage = context.store()->usage();
    return std::pair(static_cast<double>(usage.entries) / static_cast<double>(usage.entries_full), usage.kv_bytes);
  };
  const auto [share, bytes] = held_of("50%bytes", "f16");
  const auto [more, as_many_bytes] = held_of("50%bytes", "q8_0");
  CHECK(share == Approx(0.5).margin(0.001));
  CHECK(more == Approx(0.5 * 64 / 34).margin(0.001));
  CHECK(static_cast<double>(as_many_bytes) == Approx(static_cast<double>(bytes)).epsilon(0.1));  // whole pages and blocks
  const auto [most, still_as_many] = held_of("25%bytes", "q4_0");
  const auto [half_most, halves_of_it] = held_of("25%bytes", "f16");
  CHECK(most == Approx(0.25 * 64 / 18).margin(0.001));
  CHECK(static_cast<double>(still_as_many) == Approx(static_cast<double>(halves_of_it)).epsilon(0.1));
  CHECK(half_most == Approx(0.25).margin(0.001));
  // 17 bytes of q8_0 keys and 9 of q4_0 values where there are 64; in MiB as in per cent
  CHECK(held_of("25%bytes", "q8_0,q4_0").first == Approx(0.25 * 64 / 26).margin(0.001));
  CHECK(held_of("0.125MiB", "q4_0").first == Approx(held_of("0.125MiB", "f16").first * 64 / 18).epsilon(0.02));
  CHECK(held_of("50%", "q8_0").first == Approx(0.5).margin(0.001));
}

TEST_CASE("a list of codes holds what was packed through growth, eviction, taking back, copies", "[llama][store]") {
  constexpr std::size_t kSize = 64, kCount = 300;
  const RowFormat format = GENERATE(RowFormat::q8_0, RowFormat::q4_0);
  const auto packed_of = [](std::int32_t cell) {
    std::vector<std::uint16_t> row(kSize);
    for (std::size_t d = 0; d < kSize; ++d)
      row[d] = kernels::float_to_half(std::sin(static_cast<float>(cell) + 0.37f * static_cast<float>(d)));
    return row;
  };
  const auto region = std::make_shared<llama::PageRegion>();
  llama::HeadList list(kSize, kSize, {}, region, {format, format});
  const auto append = [&](std::int32_t cell) {
    const auto row = packed_of(cell);
    list.append({&cell, 1}, {&cell, 1}, {row.data(), kSize}, {row.data(), kSize});
  };
  const auto check = [&](const llama::HeadList& of) {
    const Held held(of);
    for (std::size_t e = 0; e < of.size(); ++e) {
      // what a list holds that never had another row
      const auto row = packed_of(of.cells()[e]);
      llama::HeadList alone(kSize, kSize, {}, std::make_shared<llama::PageRegion>(), {format, format});
      alone.append(of.cells().subspan(e, 1), of.cells().subspan(e, 1), {row.data(), kSize}, {row.data(), kSize});
      const Held wanted(alone);
      for (std::size_t d = 0; d < kSize; ++d) {
        REQUIRE(held.keys[e * kSize + d] == wanted.keys[d]);
        if (format == RowFormat::q8_0) REQUIRE(std::abs(wanted.keys[d] - kernels::half_to_float(row[d])) < 0.005f);
      }
    }
    CHECK(held.values == held.keys);
  };
  for (std::int32_t cell = 0; cell < static_cast<std::int32_t>(kCount); ++cell) append(cell);
  check(list);
  list.open(false);
  for (std::int32_t cell = 1000; cell < 1070; ++cell) append(cell);
  list.take_back();
  CHECK(list.size() == kCount);
  std::vector<std::int32_t> kept;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(kCount); i += i % 5 == 0 ? 1 : 3) kept.push_back(i);
  check(list.copy(kept, region));
  const std::size_t bytes = list.kv_bytes();
  list.keep(kept);
  CHECK(list.size() == kept.size());
  CHECK(list.kv_bytes() < bytes);
  append(2000);
  check(list);
  check(list.duplicate(region));
}
