// What a cache in device memory cannot do is said before the first batch, and never done wrongly.
#include "namm/observer.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

CachePolicy named(const std::string& name) {
  CachePolicy memory;
  memory.policy = make_policy(name);
  if (name != "full") memory.selection.budget = {Budget::Unit::tokens, 48};
  return memory;
}

std::string refusal(const TinyShape& shape, const Placement& placement) {
  try {
    PlacedContext context(write_tiny_model(shape), placement);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "attached";
}

struct Watcher final : Observer {
  std::string_view name() const override { return "watcher"; }
};

bool says(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what cannot be done in device memory is refused before the first batch", "[device][refused]") {
  Placement placement;
  placement.memory = named("full");
  TinyShape shape;
  REQUIRE(refusal(shape, placement) == "attached");
  SECTION("who watches") {
    placement.memory->observer = std::make_shared<Watcher>();
    says(refusal(shape, placement), "policy full: must not have an observer");
  }
  SECTION("flash attention off") {
    placement.flash_attention = false;
    says(refusal(shape, placement), "enable flash attention");
  }
  SECTION("types of the cache") {
    placement.key_type = placement.value_type = GENERATE(GGML_TYPE_F32, GGML_TYPE_Q4_0);
    const std::string said = refusal(shape, placement);
    says(said, placement.key_type == GGML_TYPE_F32
                   ? "use a cache of type f16, bf16 or q8_0"
                   : "must be of type f16, bf16 or q8_0 in device memory, is q4_0 (--cache-type-k)");
    CHECK(said != "attached");
  }
  SECTION("one latent tensor for keys and values") {
    shape.architecture = "deepseek2";
    says(refusal(shape, placement), "multi-head latent attention");
  }
  SECTION("positions in the cache") {
    shape.architecture = "mpt";
    shape.kv_heads = shape.query_heads;
    says(refusal(shape, placement), "ALiBi");
  }
  SECTION("sliding windows on several devices") {
    if (device_count() < 2) return;
    shape.architecture = GENERATE(as<std::string>{}, "gemma2", "gemma3");
    placement.devices = {0, 1};
    says(refusal(shape, placement), "sliding window");
  }
  SECTION("sliding windows with some layers on the device, some not") {
    placement.gpu_layers = 2;
    REQUIRE(refusal(shape, placement) == "attached");
    shape.architecture = GENERATE(as<std::string>{}, "gemma2", "gemma3");
    says(refusal(shape, placement), "sliding window");
  }
}

TEST_CASE("a cache in host memory is as before where a device is there", "[device][refused]") {
  Placement placement;
  placement.memory = named("h2o");
  placement.offload_cache = false;
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(100, shape.vocabulary, 2);
  PlacedContext offloaded(model, placement);
  placement.devices.clear();
  PlacedContext on_cpu(model, placement);
  CHECK(relative_difference(offloaded.evaluate(tokens, 50), on_cpu.evaluate(tokens, 50)) < nearly(1e-3));
}

TEST_CASE("a context without a policy on a device that another one is attached on is left alone", "[device][refused]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(100, shape.vocabulary, 2);
  Placement placement;
  const auto expected = PlacedContext(model, placement).evaluate(tokens, 50);
  placement.memory = named("streaming");
  PlacedContext attached(model, placement);
  placement.memory.reset();
  PlacedContext plain(model, placement);
  attached.evaluate(tokens, 50);
  CHECK(relative_difference(plain.evaluate(tokens, 50), expected) <= exactly());
}

TEST_CASE("what would touch the empty cache of a running context fails with a sentence", "[device][refused]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(100, shape.vocabulary, 2);
  Placement placement;
  placement.memory = named("full");
  const auto failure = [&](PlacedContext& context) -> std::string {
    try {
      context.evaluate(std::span(tokens).subspan(60), 40);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "decoded";
  };
  SECTION("positions are shifted") {
    PlacedContext context(model, placement);
    context.evaluate(std::span(tokens).first(60), 60);
    llama_memory_seq_add(llama_get_memory(context.get()), 0, 10, -1, 5);
    context.go_on_at(0, 65);
    says(failure(context), "positions in the cache were shifted");
  }
  SECTION("an evaluation callback takes the graph apart") {
    placement.callback = [](ggml_tensor*, bool, void*) { return true; };
    PlacedContext context(model, placement);
    says(failure(context), "leave evaluation callbacks off");
  }
  SECTION("a saved state is restored by llama.cpp's own functions") {
    PlacedContext context(model, placement);
    context.evaluate(std::span(tokens).first(60), 60);
    std::vector<std::uint8_t> state(llama_state_seq_get_size(context.get(), 0));
    llama_state_seq_get_data(context.get(), state.data(), state.size(), 0);
    PlacedContext other(model, placement);
    REQUIRE(llama_state_seq_set_data(other.get(), state.data(), state.size(), 0) > 0);
    other.go_on_at(0, 60);
    says(failure(other), "tokens that the store has read");
  }
}
