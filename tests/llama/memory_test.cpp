// What usage() reports against the process's own memory map.
#include <cstdlib>

#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/process_memory.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

constexpr std::int64_t kSlack = 2 << 20;  // heap that malloc keeps for later; counters kept per thread
constexpr std::size_t kTokens = 6000, kChunk = 250;

TinyShape wide() {
  TinyShape shape;
  shape.query_heads = shape.kv_heads = 4;
  shape.head_size = 64;  // 6,000 tokens: 18.4 MB of keys and values
  return shape;
}

CachePolicy tight() {
  CachePolicy memory;
  memory.policy = make_policy("streaming");
  memory.selection.budget = {Budget::Unit::tokens, 256};
  memory.interval_tokens = 250;
  return memory;
}

void evaluate(Context& context, const std::vector<std::int32_t>& tokens) {
  for (std::size_t at = 0; at < tokens.size(); at += kChunk) context.evaluate(std::span(tokens).subspan(at, kChunk), kChunk);
}

}  // namespace

TEST_CASE("bytes in use agree with the memory map of the process", "[llama][memory]") {
  if (kFreedMemoryIsHeld || anonymous_bytes() < 0) {
    WARN("not measured: freed memory is held, or /proc/self/smaps_rollup is not there");
    return;
  }
  ContextSettings settings;
  settings.cells = 8192;
  settings.ubatch = static_cast<int>(kChunk);
  settings.memory = tight();
  Context context(llama::LlamaModel::load(write_tiny_model(wide())), settings);
  const auto tokens = random_tokens(kTokens, 64, 6);
  evaluate(context, tokens);  // touches the runtime's work buffers, which grow with the number of cells
  context.clear();
  context.store()->reset(full_memory());
  const std::int64_t before = anonymous_bytes();

  evaluate(context, tokens);
  const CacheUsage full = context.store()->usage();
  const std::int64_t full_growth = anonymous_bytes() - before;
  INFO("full: reported " << full.kv_bytes << " and " << full.statistics_bytes << ", measured " << full_growth);
  CHECK(full.kv_bytes_full == static_cast<std::int64_t>(kTokens) * 3 * 4 * 128 * 2);
  CHECK(full.kv_bytes >= full.kv_bytes_full);
  CHECK(full.kv_bytes < full.kv_bytes_full * 102 / 100);
  CHECK(std::abs(full_growth - full.kv_bytes - full.statistics_bytes) < kSlack);

  context.clear();
  context.store()->reset(tight());
  const std::int64_t after = anonymous_bytes();
  INFO("released: " << after - before << " left of " << full_growth);
  CHECK(after - before < kSlack);

  const bool peak_known = reset_peak();
  const std::int64_t resident = resident_bytes();
  evaluate(context, tokens);
  const CacheUsage small = context.store()->usage();
  const std::int64_t growth = anonymous_bytes() - after, peak = peak_bytes() - resident;
  INFO("budget: reported " << small.kv_bytes << " and " << small.statistics_bytes << ", measured " << growth << "; peak reported "
                           << small.kv_bytes_peak << " and " << small.statistics_bytes_peak << ", measured " << peak);
  CHECK(small.entries == 256 * 12);
  CHECK(small.entries_peak == (256 + 250) * 12);
  CHECK(small.kv_bytes_peak < full.kv_bytes / 10);
  CHECK(growth < small.kv_bytes + small.statistics_bytes + kSlack);
  if (peak_known) CHECK(peak < small.kv_bytes_peak + small.statistics_bytes_peak + kSlack);
  CHECK(small.physical_saving() > 0.9);
}

TEST_CASE("cells that hold nothing cost nothing", "[llama][memory]") {
  if (resident_bytes() < 0) return;
  const auto model = llama::LlamaModel::load(write_tiny_model(wide()));
  ContextSettings settings;
  settings.cells = 512;
  settings.memory = full_memory();
  { Context first(model, settings); }  // whatever happens once per process
  settings.cells = 1 << 16;
  const std::int64_t before = resident_bytes(), cache = std::int64_t{1 << 16} * 3 * 4 * 128 * 2;
  Context context(model, settings);
  const std::int64_t growth = resident_bytes() - before;
  INFO("cache of " << cache << " bytes, resident memory grew by " << growth);
  CHECK(growth < cache / 10);
}
