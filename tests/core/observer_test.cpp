// Who watches sees what policies see, and changes nothing of what is kept.
#include "namm/observer.hpp"

#include <array>
#include <stdexcept>

#include "namm/cache_policy.hpp"
#include "tests/check.hpp"
#include "tests/core/samples.hpp"

using namespace namm;

namespace {

class KeyReader final : public ContentReader {
  void read(const LayerTokens&, std::span<float>) const override {}
};

class HeadWatcher final : public Observer {
 public:
  std::string_view name() const override { return "head-watcher"; }
  StatisticSet required() const override { return needed; }
  const ContentReader* reader() const override { return reads; }
  bool wants_attention() const override { return attention; }
  void on_update(const HeadTokens& tokens) override {
    if (tokens.kv_head >= refused) throw std::runtime_error("refused head " + std::to_string(tokens.kv_head));
    shown.at(static_cast<std::size_t>(tokens.kv_head)) += tokens.size();
  }

  StatisticSet needed;
  const ContentReader* reads = nullptr;
  bool attention = false;
  int refused = 4;
  std::array<std::size_t, 4> shown{};
};

std::vector<HeadTokens> four_heads(std::span<const std::int32_t> positions) {
  std::vector<HeadTokens> out(4);
  for (int h = 0; h < 4; ++h) {
    out[static_cast<std::size_t>(h)].kv_head = h;
    out[static_cast<std::size_t>(h)].tokens_seen = static_cast<std::int64_t>(positions.size());
    out[static_cast<std::size_t>(h)].positions = positions;
  }
  return out;
}

}  // namespace

TEST_CASE("an observer is shown every head whole, and what is kept is what is kept without it", "[observer]") {
  const std::vector<std::int32_t> positions = samples::range(0, 60);
  const std::vector<HeadTokens> heads = four_heads(positions);
  for (const char* const name : {"", "full", "streaming"}) {
    CAPTURE(name);
    CachePolicy alone;
    if (*name) alone.policy = make_policy(name);
    alone = alone.with_budget("30");
    CachePolicy watched = alone;
    const auto watcher = std::make_shared<HeadWatcher>();
    watched.observer = watcher;
    CHECK(alone.updates() == alone.drops());
    CHECK(watched.updates());
    CHECK(watched.drops() == alone.drops());
    CHECK(update_heads(watched, heads, 60, 64).kept == update_heads(alone, heads, 60, 64).kept);
    CHECK(watcher->shown == std::array<std::size_t, 4>{60, 60, 60, 60});
  }
}

TEST_CASE("an observer that throws ends the update, the first head's message comes out", "[observer]") {
  const std::vector<std::int32_t> positions = samples::range(0, 10);
  CachePolicy memory;
  const auto watcher = std::make_shared<HeadWatcher>();
  watcher->refused = 1;
  memory.observer = watcher;
  CHECK_THROWS_WITH(update_heads(memory, four_heads(positions), 10, 64), "refused head 1");
}

TEST_CASE("hosts provide what the policy and the observer want", "[observer]") {
  const auto watcher = std::make_shared<HeadWatcher>();
  const KeyReader reader;
  CachePolicy memory;
  CHECK(memory.required().empty());
  CHECK_FALSE((memory.reads_tokens() || memory.reads_queries() || memory.reads_attention()));
  memory.policy = make_policy("knorm");
  memory.observer = watcher;
  CHECK(memory.required() == StatisticSet(Statistic::key_norm));
  CHECK_FALSE((memory.reads_tokens() || memory.reads_queries() || memory.reads_attention()));
  watcher->needed = Statistic::accumulated;
  CHECK(memory.required() == (Statistic::key_norm | Statistic::accumulated));
  CHECK(memory.reads_attention());
  watcher->needed = {};
  watcher->attention = true;
  CHECK(memory.reads_attention());
  watcher->reads = &reader;
  CHECK(memory.reads_tokens());
  CHECK(memory.reader() == &reader);
  memory.policy = make_policy("key-probe", samples::settings_of({"key-probe", "", nullptr, true}));
  CHECK(memory.reader() == memory.policy->reader());  // a policy decides by its own
}
