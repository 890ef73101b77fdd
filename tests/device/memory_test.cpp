// What a policy frees on a device is what the device counts.
#include <algorithm>

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

TEST_CASE("the peak of layers on the device and in host memory is of one moment", "[device][memory][both]") {
  TinyShape shape;
  shape.layers = 4;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(760, shape.vocabulary, 3);
  Placement placement;
  placement.memory = streaming(0);
  placement.gpu_layers = 3;  // two layers of four, and the output
  PlacedContext context(model, placement);
  const auto row = std::int64_t{2} * (32 + 32) * 2, rows = 2 * row;  // of a layer; of both on the device
  const auto held = [&](std::int64_t capacity) { return context.store()->usage().kv_bytes - capacity * rows; };
  context.evaluate(std::span(tokens).first(520), 40);
  const std::int64_t here = held(768), moved = here + 768 * rows + 512 * row;  // 512 rows of the second layer lay beside 768
  const std::int64_t peak = context.store()->usage().kv_bytes_peak;
  CHECK(peak >= moved - 40 * 2 * row);
  CHECK(peak <= moved + 768 * 2 * std::int64_t{sizeof(std::int32_t)});  // their numbers
  context.evaluate(std::span(tokens).subspan(520), 40);
  const std::int64_t now = held(768);
  REQUIRE(now - here >= 190 * 2 * row);
  CHECK(context.store()->usage().kv_bytes_peak == std::max(peak, now + 768 * rows));
  CHECK(context.store()->usage().kv_bytes_peak < now + 768 * rows + 512 * row);
}

TEST_CASE("a store that begins anew has no peak of what it held before", "[device][memory]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(700, shape.vocabulary, 3);
  Placement placement;
  placement.memory = streaming(0);
  placement.gpu_layers = GENERATE(99, 3);
  PlacedContext context(model, placement);
  const auto after = [&](std::size_t count) {
    context.evaluate(std::span(tokens).first(count), 100);
    return context.store()->usage();
  };
  const CacheUsage small = after(100), large = after(600);
  REQUIRE(large.kv_bytes_peak > 2 * small.kv_bytes_peak);
  llama_memory_clear(llama_get_memory(context.get()), false);
  context.store()->reset(streaming(50));
  context.go_on_at(0, 0);
  const CacheUsage again = after(100);
  CHECK(again.kv_bytes == small.kv_bytes);
  CHECK(again.kv_bytes_peak == small.kv_bytes_peak);
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

TEST_CASE("a token costs a device the columns of masks that it changes, not the masks", "[device][memory]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(900, shape.vocabulary, 5);
  Placement placement;
  placement.memory = streaming(600);
  placement.memory->interval_tokens = 200;
  placement.memory->policy = make_policy("random");  // heads hold different tokens: a mask for each
  placement.ubatch = 200;
  PlacedContext context(model, placement);
  context.evaluate(std::span(tokens).first(800), 200);
  REQUIRE(context.store()->usage().entries == 600 * 3 * 2);
  context.evaluate(std::span(tokens).subspan(800, 2), 1);  // the first has masks of its own
  const std::size_t before = emulated_bytes_sent(0);
  context.evaluate(std::span(tokens).subspan(802, 10), 1);
  const std::size_t masks = 10 * 3 * 2 * 768 * sizeof(std::uint16_t), runtimes = 10 * 1024 * sizeof(std::uint16_t);
  CHECK(emulated_bytes_sent(0) - before < masks / 2 + runtimes);
}

TEST_CASE("what an update frees, the driver has again", "[device][driver]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const std::size_t count = on_real_devices() ? 8192 : 1024;
  const auto tokens = random_tokens(count, shape.vocabulary, 6);
  Placement placement;
  placement.cells = static_cast<int>(count);
  placement.memory = streaming(256);
  placement.memory->interval_tokens = static_cast<int>(count);
  PlacedContext context(model, placement);
  context.evaluate(std::span(tokens).first(count - 1), 512);
  const std::int64_t held = context.store()->usage().kv_bytes, free = free_memory(0);
  context.evaluate(std::span(tokens).last(1), 1);
  const std::int64_t reported = held - context.store()->usage().kv_bytes;
  CHECK(reported > held / 2);
  const std::int64_t driver = free_memory(0) - free, pages = on_real_devices() ? 6 << 20 : 1 << 16;
  INFO("reported " << reported << " bytes, the driver has " << driver << " more");
  CHECK(driver >= reported - pages);  // and work buffers, which are not of the cache, may shrink, too
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
