// The host interface with the runtime's own cache: the same decisions as with a cache of ours, and what it reports.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::CacheHolder;
using llama::LlamaHost;
using llama::LlamaModel;

namespace {

LlamaHost make_host(std::shared_ptr<const LlamaModel> model, CacheHolder attachment, int cells = 0) {
  llama::LlamaHostSettings settings;
  settings.context_tokens = 1024;
  settings.holder = attachment;
  settings.cells = cells;
  return LlamaHost(std::move(model), settings);
}

CachePolicy quarter(std::shared_ptr<const Policy> policy) {
  CachePolicy memory;
  memory.policy = std::move(policy);
  memory.selection.budget = {Budget::Unit::fraction, 0.25};
  memory.interval_tokens = 64;
  return memory;
}

/// Reads a number from each key and value, and remembers all keys.
class ReadingPolicy final : public Policy, ContentReader {
 public:
  std::string_view name() const override { return "test-reading"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return this; }
  void read(const LayerTokens& tokens, std::span<float> out) const override {
    const std::lock_guard<std::mutex> lock(mutex);
    for (int h = 0; h < tokens.kv_heads; ++h)
      for (std::size_t i = 0; i < tokens.count(); ++i) {
        const std::size_t row = i * static_cast<std::size_t>(tokens.kv_heads) + static_cast<std::size_t>(h);
        const float *const key = tokens.keys + row * tokens.key_size, *const value = tokens.values + row * tokens.value_size;
        out[static_cast<std::size_t>(h) * tokens.count() + i] = key[0] + 2 * key[tokens.key_size - 1] + 3 * value[1];
        keys[{tokens.layer, h, tokens.positions[i]}].assign(key, key + tokens.key_size);
      }
  }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    std::copy(tokens.content.begin(), tokens.content.end(), scores.begin());
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<ReadingPolicy>(); }
  nlohmann::json to_json() const override { return {}; }
  mutable std::mutex mutex;
  mutable std::map<std::tuple<int, int, std::int32_t>, std::vector<float>> keys;
};

/// Remembers the statistics it was shown last; keeps the newest tokens.
class WatchingPolicy final : public Policy {
 public:
  std::string_view name() const override { return "test-watching"; }
  StatisticSet required() const override {
    return Statistic::spectrogram | Statistic::accumulated | Statistic::queries_seen | Statistic::last_row |
           Statistic::window_mean | Statistic::key_norm | Statistic::value_norm;
  }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const std::lock_guard<std::mutex> lock(mutex);
    auto& rows = shown[{tokens.layer, tokens.kv_head}];
    rows.clear();
    for (const std::span<const float> row : {tokens.spectrogram, tokens.accumulated, tokens.queries_seen, tokens.last_row,
                                             tokens.window_mean, tokens.key_norm, tokens.value_norm})
      rows.emplace_back(row.begin(), row.end());
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(tokens.positions[i]);
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<WatchingPolicy>(); }
  nlohmann::json to_json() const override { return {}; }
  mutable std::mutex mutex;
  mutable std::map<std::pair<int, int>, std::vector<std::vector<float>>> shown;
};

/// Share of the entries that both keep, of those that one keeps.
double in_common(const std::vector<HeadContent>& a, const std::vector<HeadContent>& b) {
  REQUIRE(a.size() == b.size());
  std::size_t common = 0, all = 0;
  for (std::size_t h = 0; h < a.size(); ++h) {
    REQUIRE(a[h].positions.size() == b[h].positions.size());
    std::vector<std::int32_t> both;
    std::set_intersection(a[h].positions.begin(), a[h].positions.end(), b[h].positions.begin(), b[h].positions.end(),
                          std::back_inserter(both));
    common += both.size();
    all += a[h].positions.size();
  }
  return static_cast<double>(common) / static_cast<double>(all);
}

}  // namespace

TEST_CASE("LlamaHost: by callback the same tokens are kept as by the backend", "[llama][callback][host]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "jamba");
  shape.layers = shape.architecture == "llama" ? 1 : 3;  // one with attention: what is dropped in one changes the next
  const auto model = LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(400, shape.vocabulary, 11);
  LlamaHost ours = make_host(model, CacheHolder::backend), stock = make_host(model, CacheHolder::callback);
  CHECK(ours.description().bytes_per_token() == stock.description().bytes_per_token());
  for (const char* const name : {"", "streaming", "random", "knorm", "h2o-mean", "tova", "snapkv", "namm"}) {
    const CachePolicy memory =
        quarter(*name ? std::shared_ptr<const Policy>(make_policy(name)) : std::make_shared<SeededPolicy>());
    for (LlamaHost* const host : {&ours, &stock}) {
      host->reset(memory);
      host->evaluate(tokens);
      host->update();
    }
    INFO(shape.architecture << ", policy '" << name << "'");
    CHECK(stock.usage().updates == ours.usage().updates);
    CHECK(stock.usage().entries == ours.usage().entries);
    // scores that are read from attention or norms differ by the rounding of the runtime's own attention, so near ties may
    const bool by_position =
        std::string_view(name).empty() || std::string_view(name) == "streaming" || std::string_view(name) == "random";
    CHECK(in_common(ours.content(), stock.content()) >= (by_position ? 1.0 : 0.95));
  }
}

TEST_CASE("LlamaHost: by callback a policy is shown the statistics that it is shown by the backend", "[llama][callback][host]") {
  const TinyShape shape;
  const auto model = LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(300, shape.vocabulary, 14);
  const auto by_backend = std::make_shared<WatchingPolicy>(), by_callback = std::make_shared<WatchingPolicy>();
  LlamaHost ours = make_host(model, CacheHolder::backend), stock = make_host(model, CacheHolder::callback);
  for (const auto& [host, policy] : {std::pair(&ours, by_backend), std::pair(&stock, by_callback)}) {
    host->reset(quarter(policy));
    host->evaluate(std::span(tokens).first(290));
    for (std::size_t i = 290; i < 300; ++i) host->evaluate(std::span(tokens).subspan(i, 1));
    host->update();
  }
  CHECK(ours.usage().entries < 300 * 6);
  REQUIRE(by_backend->shown.size() == 6);
  for (const auto& [head, rows] : by_backend->shown)
    for (std::size_t kind = 0; kind < rows.size(); ++kind) {
      const std::vector<float>& theirs = by_callback->shown.at(head)[kind];
      REQUIRE(theirs.size() == rows[kind].size());
      double apart = 0, most = 0;
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        apart = std::max(apart, std::abs(static_cast<double>(theirs[i]) - static_cast<double>(rows[kind][i])));
        most = std::max(most, std::abs(static_cast<double>(rows[kind][i])));
      }
      INFO("layer " << head.first << " head " << head.second << " statistic " << kind << ": up to " << most << ", apart "
                    << apart);
      CHECK(most > 0);
      CHECK(apart < 5e-3 * most);  // the runtime rounds queries to halves before it multiplies, and layers add to it
    }
}

TEST_CASE("LlamaHost: by callback a reader sees the keys that it sees by the backend", "[llama][callback][host]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "qwen3", "jamba");
  const auto model = LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(100, shape.vocabulary, 12);
  const auto by_backend = std::make_shared<ReadingPolicy>(), by_callback = std::make_shared<ReadingPolicy>();
  LlamaHost ours = make_host(model, CacheHolder::backend), stock = make_host(model, CacheHolder::callback);
  CachePolicy memory = quarter(by_backend);
  memory.selection.budget = {};  // nothing is dropped, so the keys differ by the rounding of attention alone
  ours.reset(memory);
  ours.evaluate(tokens);
  memory.policy = by_callback;
  stock.reset(memory);
  stock.evaluate(tokens);
  REQUIRE(by_backend->keys.size() == by_callback->keys.size());
  REQUIRE(!by_backend->keys.empty());
  double apart = 0, most = 0;
  for (const auto& [token, key] : by_backend->keys)
    for (std::size_t d = 0; d < key.size(); ++d) {
      apart = std::max(apart, std::abs(static_cast<double>(key[d]) - static_cast<double>(by_callback->keys.at(token)[d])));
      most = std::max(most, std::abs(static_cast<double>(key[d])));
    }
  INFO(shape.architecture << ": keys up to " << most << ", apart " << apart);
  CHECK(apart < 5e-3 * most);
}

TEST_CASE("LlamaHost: by callback, cells smaller than the text hold it, and too few are an error", "[llama][callback][host]") {
  const auto model = LlamaModel::load(write_tiny_model({}));
  const auto tokens = random_tokens(900, 64, 13);
  CachePolicy memory = quarter(make_policy("h2o"));
  memory.selection.budget = {Budget::Unit::tokens, 100};
  LlamaHost host = make_host(model, CacheHolder::callback, 256);
  host.reset(memory);
  host.evaluate(tokens);
  host.update();
  const CacheUsage usage = host.usage();
  CHECK(usage.cells == 100);
  CHECK(usage.cells_peak <= 100 + 64);
  CHECK(usage.cells_allocated == 256);
  CHECK(usage.entries == 100 * 6);
  CHECK(usage.entries_full == 900 * 6);
  CHECK(usage.kv_bytes == 256 * 6 * 2 * 32 * 2);
  CHECK(usage.kv_bytes_full == 1024 * 6 * 2 * 32 * 2);  // what the runtime would allocate for the longest sequence
  CHECK(usage.physical_saving() > 0.5);
  for (std::size_t i = 0; i < 100; ++i) host.evaluate(std::span(tokens).subspan(i, 1));  // goes on, over an update
  CHECK(host.usage().tokens_seen == 1000);
  CHECK(host.usage().cells == 100 + 1000 % 64);

  std::string message = "nothing was thrown";
  try {
    memory.selection.budget.value = 300;
    host.reset(memory);
    host.evaluate(tokens);
  } catch (const std::exception& error) {
    message = error.what();
  }
  CHECK_THAT(message, Contains("256 cells") && Contains("raise --cells"));
  memory.selection.budget.value = 100;
  memory.interval_tokens = 512;  // more than there are cells: a batch cannot be as long
  host.reset(memory);
  CHECK_THROWS_WITH(host.evaluate(tokens), Contains("256 cells") && Contains("raise --cells"));
  memory.interval_tokens = 64;
  host.reset(memory);  // goes on after the error
  host.evaluate(tokens);
  CHECK(host.usage().entries < 164 * 6 + 1);
  host.reset(full_memory());  // keeps everything, so it gets as many cells as the longest text needs
  host.evaluate(tokens);
  CHECK(host.usage().cells == 900);
  CHECK(host.usage().cells_allocated == 1024);
}
