// What a policy frees on a device is what the device counts.
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

CachePolicy streaming(int budget) {
  CachePolicy memory;
  memory.policy = make_policy(budget > 0 ? "streaming" : "full");
  if (budget > 0) memory.selection.budget = {Budget::Unit::tokens, static_cast<double>(budget)};
  memory.interval_tokens = 1000;
  return memory;
}

/// Device memory that the attachment says it has: rows, and what its graphs need. The rest of statistics_bytes is the host's.
std::int64_t on_device(const CacheUsage& usage) {
  return usage.kv_bytes;
}

}  // namespace

TEST_CASE("device memory shrinks at an update by what is reported", "[device][memory]") {
  TinyShape shape;
  shape.head_size = 64;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(1000, shape.vocabulary, 3);
  Placement placement;
  placement.memory = streaming(200);
  placement.ubatch = 250;
  PlacedContext context(model, placement);
  context.evaluate(std::span(tokens).first(750), 250);
  const CacheUsage before = context.store()->usage();
  const auto row = std::int64_t{3} * 2 * (64 + 64) * 2;  // of all layers and heads, keys and values, f16
  CHECK(before.kv_bytes == 768 * row);
  CHECK(before.kv_bytes_full == 750 * row);
  const auto allocated = static_cast<std::int64_t>(emulated_bytes(0));

  context.evaluate(std::span(tokens).subspan(750), 250);  // ends with an update
  const CacheUsage after = context.store()->usage();
  CHECK(after.entries == 200 * 3 * 2);
  CHECK(after.kv_bytes == 256 * row);
  CHECK(after.kv_bytes_peak >= 1024 * row);
  CHECK(after.kv_bytes_peak < (1024 + 1024 / 3 + 800) * row);  // one layer's copy beside it, and numbers on their way
  CHECK(static_cast<std::int64_t>(emulated_bytes(0)) - allocated <= on_device(after) - on_device(before) + (1 << 20));
  CHECK(after.physical_saving() > 0);
}

TEST_CASE("what is allocated on a device is the reported rows and what plain llama.cpp allocates", "[device][memory]") {
  TinyShape shape;
  shape.head_size = 64;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(600, shape.vocabulary, 3);
  const auto base = static_cast<std::int64_t>(emulated_bytes(0));
  Placement placement;
  placement.cells = 4096;
  const auto row = std::int64_t{3} * 2 * (64 + 64) * 2;
  std::int64_t plain = 0;
  {
    PlacedContext context(model, placement);
    context.evaluate(tokens, 200);
    plain = static_cast<std::int64_t>(emulated_bytes(0)) - base - 4096 * row;  // weights and work buffers
  }
  CHECK(static_cast<std::int64_t>(emulated_bytes(0)) == base);
  placement.memory = streaming(0);
  {
    PlacedContext context(model, placement);
    context.evaluate(tokens, 200);
    const CacheUsage usage = context.store()->usage();
    const std::int64_t ours = static_cast<std::int64_t>(emulated_bytes(0)) - base - plain;
    INFO("beside plain llama.cpp " << ours << ", reported " << usage.kv_bytes << " and " << usage.statistics_bytes);
    CHECK(usage.kv_bytes == 768 * row);
    CHECK(ours >= usage.kv_bytes);
    CHECK(ours <= usage.kv_bytes + usage.statistics_bytes);
  }
  CHECK(static_cast<std::int64_t>(emulated_bytes(0)) == base);
}

TEST_CASE("cells that hold nothing cost a device nothing", "[device][memory]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  Placement placement;
  placement.memory = streaming(0);
  placement.ubatch = 64;
  const auto cost = [&](int cells) {
    placement.cells = cells;
    const std::size_t before = emulated_bytes(0);
    PlacedContext context(model, placement);
    context.evaluate(random_tokens(64, shape.vocabulary, 1), 64);
    return emulated_bytes(0) - before;
  };
  const std::size_t small = cost(512), large = cost(131072);
  const std::size_t cache = std::size_t{131072} * 3 * 2 * (32 + 32) * 2;
  INFO("512 cells: " << small << ", 131,072 cells: " << large << ", their cache: " << cache);
  CHECK(large < small + cache / 2);  // masks and work buffers of the runtime grow with the number of cells
}

TEST_CASE("a removed sequence gives its device memory back", "[device][memory]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  Placement placement;
  placement.memory = streaming(0);
  PlacedContext context(model, placement);
  context.evaluate(random_tokens(400, shape.vocabulary, 1), 200);
  const CacheUsage held = context.store()->usage();
  const auto allocated = static_cast<std::int64_t>(emulated_bytes(0));
  REQUIRE(context.store()->sequences().size() == 1);
  CHECK(context.remove(0, 0));
  context.store()->forget(context.store()->sequences().front().key);
  CHECK(context.store()->usage().kv_bytes == 0);
  CHECK(allocated - static_cast<std::int64_t>(emulated_bytes(0)) == held.kv_bytes);
}
