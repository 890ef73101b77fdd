// The largest attention as computed from queries and keys, beside the attention that the kernel itself reports.
#include "calibrate/largest_attention.hpp"

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "calibrate/recorder.hpp"
#include "tests/check.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

TEST_CASE("LargestAttention: the kernel's own attention, and the largest of a group is no less than its mean",
          "[llama][observer]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "qwen3");
  shape.kv_heads = GENERATE(6, 2);
  const int group = shape.query_heads / shape.kv_heads;
  CAPTURE(shape.architecture, group);
  constexpr std::int32_t context = 40;
  const auto tokens = random_tokens(90, shape.vocabulary, 17);
  llama::LlamaHostSettings settings;
  settings.context_tokens = 256;
  settings.threads = 1;
  llama::LlamaHost host(llama::LlamaModel::load(write_tiny_model(shape)), settings);
  const calibrate::PositionRange range{60, 90};
  const auto means = std::make_shared<calibrate::Recorder>(ProbeInput::key, context, std::vector{range});
  const auto watcher = std::make_shared<calibrate::LargestAttention>(context, range);
  for (const std::shared_ptr<Observer>& observer : std::initializer_list<std::shared_ptr<Observer>>{means, watcher}) {
    CachePolicy memory;
    memory.observer = observer;
    host.reset(memory);
    host.evaluate(tokens);
  }
  const auto largest = watcher->largest();
  REQUIRE(largest.size() == static_cast<std::size_t>(shape.layers));
  double above = 0;
  for (const auto& [index, layer] : means->layers())
    for (int h = 0; h < shape.kv_heads; ++h)
      for (std::size_t t = 0; t < context; ++t) {
        const float mean = layer.attention[static_cast<std::size_t>(h)][t];
        const float most = largest.at(index)[static_cast<std::size_t>(h)][t];
        const float near = 1e-2f * most;  // the cache holds keys in F16 (2^-11), which logits of about 10 multiply
        CHECK(most >= mean - near);
        CHECK(most <= static_cast<float>(group) * mean + near);
        above = std::max(above, static_cast<double>(most - mean));
      }
  CHECK((above > 1e-2) == (group > 1));
}
