// What a replay keeps, against the same statistics pruned by hand; what it refuses.
#include "trace/replay.hpp"

#include "namm/cache_policy.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/trace/made_up.hpp"

using namespace made_up;

namespace {

CachePolicy memory_of(const char* policy, double tokens, int interval) {
  CachePolicy out;
  out.policy = make_policy(policy);
  out.selection.budget = {Budget::Unit::tokens, tokens};
  out.selection.sinks = 1;
  out.selection.recent = 2;
  out.interval_tokens = interval;
  return out;
}

/// h2o by hand: of what is left and what came since, the best by the sum recorded at that update.
std::vector<std::int32_t> h2o(const LayerRecord& layer, std::size_t head, std::span<const std::size_t> updates,
                              std::size_t budget) {
  std::vector<std::int32_t> kept;
  std::int32_t seen = 0;
  for (const std::size_t update : updates) {
    const auto now = static_cast<std::int32_t>(layer.layout().updates()[update]);
    for (; seen < now; ++seen) kept.push_back(seen);
    const std::span<const float> sums = layer.statistics(head, update).accumulated;
    std::vector<std::int32_t> best(kept.begin(), kept.end());
    std::stable_sort(best.begin(), best.end(), [&](std::int32_t a, std::int32_t b) {
      const auto rank = [&](std::int32_t p) {
        return p < 1 || p >= now - 2 ? 2.0f : sums[static_cast<std::size_t>(p)];  // protected; sums are below 1
      };
      return rank(a) > rank(b);
    });
    best.resize(std::min(best.size(), budget));
    std::sort(best.begin(), best.end());
    kept = best;
  }
  return kept;
}

/// Has content read, a number for each head and position, and adds up what it is shown of it.
class ContentWatcher final : public Observer, ContentReader {
 public:
  std::string_view name() const override { return "content-watcher"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return this; }
  void on_update(const HeadTokens& tokens) override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto expected = static_cast<float>(100 * tokens.kv_head + tokens.positions[i]);
      if (tokens.content[i] == expected) ++right_[tokens.layer == 0 ? 0 : 1][static_cast<std::size_t>(tokens.kv_head)];
    }
  }
  std::size_t right(std::size_t layer, std::size_t head) const { return right_[layer][head]; }

 private:
  void read(const LayerTokens& tokens, std::span<float> out) const override {
    for (std::size_t h = 0; h < static_cast<std::size_t>(tokens.kv_heads); ++h)
      for (std::size_t i = 0; i < tokens.count(); ++i)
        out[h * tokens.count() + i] = static_cast<float>(100 * static_cast<int>(h) + tokens.positions[i]);
  }
  std::size_t right_[2][3] = {};
};

}  // namespace

TEST_CASE("a replay keeps at every update the best of what it kept before", "[trace]") {
  const Settings settings = made_up::settings();
  const PromptRecord record = made_up::record(settings, 72, 4);
  for (const int interval : {16, 32}) {
    const CachePolicy memory = memory_of("h2o", 12, interval);
    Replay replay(settings, record, memory, nullptr);
    replay.advance();
    const std::vector<std::size_t> within =
        interval == 16 ? std::vector<std::size_t>{0, 1, 2, 3} : std::vector<std::size_t>{1, 3};
    CHECK(replay.kept()[1] == h2o(record.layers[0], 1, within, 12));
    replay.update();
    std::vector<std::size_t> all = within;
    all.push_back(4);
    CHECK(replay.updates() == static_cast<std::int64_t>(all.size()));
    for (std::size_t head = 0; head < 4; ++head) CHECK(replay.kept()[head] == h2o(record.layers[head / 2], head % 2, all, 12));
    REQUIRE(replay.content().size() == 4);
    CHECK(replay.content()[3].layer == 2);
    CHECK(replay.content()[3].kv_head == 2);
  }
}

TEST_CASE("a replay without a policy keeps everything", "[trace]") {
  const Settings settings = made_up::settings();
  const PromptRecord record = made_up::record(settings, 40, 4);
  for (CachePolicy memory : {memory_of("full", 4, 16), CachePolicy{}}) {
    memory.interval_tokens = 16;
    Replay replay(settings, record, memory, nullptr);
    replay.advance();
    replay.update();
    for (const auto& kept : replay.kept()) CHECK(kept.size() == 40);
  }
}

TEST_CASE("a replay shows an observer all tokens at every update, with what its reader read", "[trace][observer]") {
  const Settings settings = made_up::settings();
  const PromptRecord record = made_up::record(settings, 40, 4);
  const auto watcher = std::make_shared<ContentWatcher>();
  CachePolicy memory;
  memory.observer = watcher;
  memory.interval_tokens = 16;
  ContentMemory contents;
  Replay replay(settings, record, memory, contents.of(record, memory));
  replay.advance();
  replay.update();
  for (const auto& kept : replay.kept()) CHECK(kept.size() == 40);
  for (const auto& [layer, head] : {std::pair{0, 0}, {0, 1}, {1, 0}, {1, 2}})
    CHECK(watcher->right(static_cast<std::size_t>(layer), static_cast<std::size_t>(head)) == 16 + 32 + 40);
  CHECK_THROWS_WITH(Replay(settings, record, memory, nullptr), Contains("content-watcher"));
}

TEST_CASE("a replay refuses what the record cannot tell", "[trace]") {
  Settings settings = made_up::settings();
  settings.all_statistics = false;
  settings.rows = Rows::none;
  const PromptRecord record = made_up::record(settings, 40, 4);
  const auto refused = [&](const CachePolicy& memory, const char* why) {
    CHECK_THROWS_WITH(Replay(settings, record, memory, nullptr), Contains(why));
  };
  refused(memory_of("h2o", 12, 24), "multiple of the recorded 16");
  refused(memory_of("snapkv", 12, 16), "--statistics all");
  refused(memory_of("namm", 12, 16), "--statistics all");
  CachePolicy probe = memory_of("linear", 12, 16);
  probe.policy = make_policy("linear", {{"features", "probe"}});
  refused(probe, "--keys f16");
  Settings all = made_up::settings();
  const PromptRecord other = made_up::record(all, 40, 4);
  CHECK_THROWS_WITH(Replay(all, other, probe, nullptr), Contains("probe"));
  CachePolicy decay = memory_of("namm", 12, 16);
  decay.spectrogram.decay = 0.5f;
  CHECK_THROWS_WITH(Replay(all, other, decay, nullptr), Contains("decay"));
}
