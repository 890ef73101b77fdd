// An observer on a live host, by both attachments: it is shown everything, and the cache is what it is without it.
#include <atomic>
#include <map>
#include <numeric>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "namm/observer.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::CacheHolder;
using llama::LlamaHost;
using llama::LlamaModel;

namespace {

/// Counts what it is shown. Heads of one layer may come from several threads.
class CountingObserver final : public Observer {
 public:
  explicit CountingObserver(bool queries) : queries_(queries) {}
  std::string_view name() const override { return "test-counting"; }
  StatisticSet required() const override { return Statistic::value_norm; }
  bool wants_tokens() const override { return true; }
  bool wants_queries() const override { return queries_; }
  bool wants_attention() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override { layers[tokens.layer].tokens += tokens.count(); }
  void on_queries(const LayerQueries& queries) override { layers[queries.layer].queries += queries.count(); }
  void on_attention(const AttentionRows& rows) override {
    std::atomic_ref(layers.at(rows.layer).rows) += static_cast<std::size_t>(rows.rows);
    for (int row = 0; row < rows.rows; ++row) {
      const auto one = rows.attention.subspan(static_cast<std::size_t>(row) * rows.stride, rows.positions.size());
      CHECK(std::accumulate(one.begin(), one.end(), 0.0) == Approx(1).epsilon(1e-3));
    }
  }
  void on_update(const HeadTokens& tokens) override {
    ++std::atomic_ref(layers.at(tokens.layer).updates);
    CHECK(tokens.value_norm.size() == tokens.size());
  }

  struct Seen {
    std::size_t tokens = 0, queries = 0, rows = 0, updates = 0;
  };
  std::map<int, Seen> layers;

 private:
  bool queries_;
};

LlamaHost observed_host(std::shared_ptr<const LlamaModel> model, CacheHolder holder) {
  llama::LlamaHostSettings settings;
  settings.context_tokens = 1024;
  settings.holder = holder;
  settings.threads = 1;
  return LlamaHost(std::move(model), settings);
}

}  // namespace

TEST_CASE("LlamaHost: an observer is shown everything, and the cache is what it is without it", "[llama][observer]") {
  const TinyShape shape;
  const auto model = LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(150, shape.vocabulary, 31);
  const auto attachment = GENERATE(CacheHolder::backend, CacheHolder::callback);
  const std::string name = GENERATE("", "full", "streaming", "knorm", "snapkv");
  CAPTURE(static_cast<int>(attachment), name);
  LlamaHost host = observed_host(model, attachment);
  CachePolicy memory;
  if (!name.empty()) memory.policy = make_policy(name);
  memory = memory.with_budget("40").with_interval(64);
  std::vector<std::vector<HeadContent>> contents;
  const auto observer = std::make_shared<CountingObserver>(attachment == CacheHolder::backend);  // the callback has no queries
  for (const bool watched : {false, true}) {
    if (watched) memory.observer = observer;
    host.reset(memory);
    host.evaluate(tokens);
    host.update();
    contents.push_back(host.content());
  }
  const HostDescription& description = host.description();
  REQUIRE(contents[0].size() == contents[1].size());
  for (std::size_t h = 0; h < contents[0].size(); ++h) CHECK(contents[0][h].positions == contents[1][h].positions);
  CHECK(observer->layers.size() == description.cached.size());
  for (const LayerDescription& layer : description.cached) {
    const auto heads = static_cast<std::size_t>(layer.kv_heads);
    const CountingObserver::Seen& seen = observer->layers[layer.layer];
    CHECK(seen.tokens == 150);
    CHECK(seen.queries == (attachment == CacheHolder::backend ? 150 : 0));
    CHECK(seen.rows == 150 * heads);
    CHECK(seen.updates == 3 * heads);  // 64, 128 and the end
  }
}
