// Keys and values held in 8 bits: attention sees exactly the numbers that are held, and half the bytes are gone.
#include <cmath>

#include "adapters/llama_cpp/store/head_list.hpp"
#include "kernels/half.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/process_memory.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

constexpr RowFormats kCodes{RowFormat::q8_0, RowFormat::q8_0};

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

TEST_CASE("a share of the bytes is as many bytes in either format, and more tokens in q8_0", "[llama][store]") {
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
  CHECK(held_of("50%", "q8_0").first == Approx(0.5).margin(0.001));
}

TEST_CASE("a list in q8_0 holds what was packed through growth, eviction, taking back, copies", "[llama][store]") {
  constexpr std::size_t kSize = 64, kCount = 300;
  const auto packed_of = [](std::int32_t cell) {
    std::vector<std::uint16_t> row(kSize);
    for (std::size_t d = 0; d < kSize; ++d)
      row[d] = kernels::float_to_half(std::sin(static_cast<float>(cell) + 0.37f * static_cast<float>(d)));
    return row;
  };
  const auto region = std::make_shared<llama::PageRegion>();
  llama::HeadList list(kSize, kSize, {}, region, kCodes);
  const auto append = [&](std::int32_t cell) {
    const auto row = packed_of(cell);
    list.append({&cell, 1}, {&cell, 1}, {row.data(), kSize}, {row.data(), kSize});
  };
  const auto check = [&](const llama::HeadList& of) {
    const kernels::RaggedHead head = of.view();
    for (std::size_t e = 0; e < of.size(); ++e) {
      const auto row = packed_of(of.cells()[e]);
      for (std::size_t d = 0; d < kSize; ++d) {
        REQUIRE(std::abs(kernels::key_number(head, e, d) - kernels::half_to_float(row[d])) < 0.005f);
        REQUIRE(kernels::value_number(head, e, d) == kernels::key_number(head, e, d));
      }
    }
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
