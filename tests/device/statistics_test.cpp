// Statistics of attention that a device computes beside its own are those of the store in host memory, to the rounding of a
// product in F16.
#include <cmath>
#include <limits>
#include <utility>

#include "adapters/llama_cpp/device/attention_nodes.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/device/recorder.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

CachePolicy recording(const std::shared_ptr<Recorder>& recorder) {
  CachePolicy memory;
  memory.policy = recorder;
  memory.selection.budget = {Budget::Unit::tokens, 48};
  memory.selection.sinks = 2;
  memory.selection.recent = 8;
  memory.interval_tokens = 64;
  return memory;
}

/// Largest difference as a share of the largest number.
double apart(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0, size = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return most / size;
}

void require_same(const Recorder& device, const Recorder& host) {
  REQUIRE(device.records().size() == host.records().size());
  REQUIRE_FALSE(host.records().empty());
  for (const auto& [head, expected] : host.records()) {
    const std::vector<Recorded>& seen = device.records().at(head);
    REQUIRE(seen.size() == expected.size());
    for (std::size_t i = 0; i < seen.size(); ++i) {
      INFO("layer " << head.first << ", head " << head.second << ", update " << i);
      REQUIRE(seen[i].positions == expected[i].positions);
      CHECK(seen[i].queries_seen == expected[i].queries_seen);
      CHECK(apart(seen[i].accumulated, expected[i].accumulated) < nearly(5e-3));
      CHECK(apart(seen[i].last_row, expected[i].last_row) < nearly(1e-2));
      CHECK(apart(seen[i].window_mean, expected[i].window_mean) < nearly(1e-2));
      CHECK(apart(seen[i].spectrogram, expected[i].spectrogram) < nearly(5e-3));
      CHECK(apart(seen[i].key_norm, expected[i].key_norm) < nearly(1e-3));
      CHECK(apart(seen[i].value_norm, expected[i].value_norm) < nearly(1e-3));
    }
  }
}

/// `work` with a context on `devices`, and with one in host memory.
template <class Work>
void require_as_on_host(const TinyShape& shape, int sequences, const std::vector<int>& devices, const Work& work,
                        bool unified = true) {
  const auto model = write_tiny_model(shape);
  const StatisticSet norms = Statistic::key_norm | Statistic::value_norm;
  const StatisticSet sums = Statistic::accumulated | Statistic::queries_seen | Statistic::last_row | Statistic::window_mean;
  for (const StatisticSet required :
       {norms | sums, StatisticSet(Statistic::spectrogram), Statistic::spectrogram | norms | sums}) {
    CAPTURE(required.has(Statistic::spectrogram), required.has(Statistic::accumulated));
    std::shared_ptr<Recorder> recorders[2];
    for (const bool on_device : {false, true}) {
      recorders[on_device] = std::make_shared<Recorder>(required);
      Placement placement;
      placement.memory = recording(recorders[on_device]);
      placement.sequences = sequences;
      placement.unified = unified;
      placement.devices = on_device ? devices : std::vector<int>();
      placement.offload_cache = on_device;
      PlacedContext context(model, placement);
      work(context);
      context.store()->update();
      context.store()->verify();
    }
    require_same(*recorders[true], *recorders[false]);
  }
}

struct TileBytes {
  explicit TileBytes(std::size_t bytes) : before(std::exchange(llama::attention_tile_bytes, bytes)) {}
  ~TileBytes() { llama::attention_tile_bytes = before; }
  std::size_t before;
};

}  // namespace

TEST_CASE("a device's statistics of attention are those of the host's store", "[device][statistics]") {
  const Backbone backbone = GENERATE(from_range(backbones()));
  INFO(backbone.name);
  const auto tokens = random_tokens(330, backbone.shape.vocabulary, 4);
  require_as_on_host(backbone.shape, 1, {0}, [&](PlacedContext& context) { read_all(context, tokens); });
}

TEST_CASE("so they are in tiles, and on two devices", "[device][statistics]") {
  TinyShape shape;
  if (GENERATE(false, true)) shape.kv_heads = shape.query_heads;
  const TileBytes bytes(GENERATE(1, 1 << 17, 1 << 20));  // query by query, hop by hop; 21 queries; 3 hops of 16
  const auto devices = GENERATE(std::vector<int>{0}, std::vector<int>{0, 1});
  if (device_count() < static_cast<int>(devices.size())) return;
  const auto tokens = random_tokens(330, shape.vocabulary, 4);
  require_as_on_host(shape, 1, devices, [&](PlacedContext& context) { read_all(context, tokens); });
}

TEST_CASE("each of several sequences in a batch has its own statistics", "[device][statistics]") {
  const TinyShape shape;
  const auto first = random_tokens(150, shape.vocabulary, 5), second = random_tokens(130, shape.vocabulary, 6);
  const std::size_t chunk = GENERATE(5u, 30u, 50u, 110u);  // rows of all queries; of the newest; more than a window; frames
  const bool unified = GENERATE(true, false);
  const auto work = [&](PlacedContext& context) {
    for (std::size_t at = 0; at < first.size(); at += chunk) {
      std::vector<Step> steps;
      for (std::size_t i = at; i < std::min(at + chunk, first.size()); ++i) {
        steps.push_back({first[i], 0});
        if (i < second.size()) steps.push_back({second[i], 1});
      }
      context.decode(steps);
    }
  };
  require_as_on_host(shape, 2, {0}, work, unified);
}

TEST_CASE("a part that is taken back has not been seen", "[device][statistics]") {
  const TinyShape shape;
  const auto tokens = random_tokens(200, shape.vocabulary, 5);
  const std::size_t part = GENERATE(4u, 30u, 90u);
  require_as_on_host(shape, 1, {0}, [&](PlacedContext& context) {
    context.evaluate(std::span(tokens).first(60), 60);
    context.decode_and_remove(std::span(tokens).subspan(60, part));
    context.evaluate(std::span(tokens).subspan(100), 50);
  });
}
