// A device that has no more memory: the call that needed it says so, what is held stays as it was, and goes on where there is
// memory again.
#include <stdexcept>

#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/device/reading.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// The first device has `more` bytes beyond what is on it, while this lives.
struct Limited {
  explicit Limited(std::size_t more) { emulated_settings().memory = emulated_bytes(0) + more; }
  ~Limited() { emulated_settings() = {}; }
};

/// Tries with a little more memory each time, until it is enough. Each time before, `work` must say what there was no memory
/// for, and `check` looks at what it left behind. Returns how often that was.
template <class Work, class Check>
int until_there_is_memory(Work work, Check check) {
  constexpr std::size_t kStep = 24 << 10;
  for (int failures = 0; failures < 200; ++failures) {
    std::string said;
    {
      const Limited limited(kStep * static_cast<std::size_t>(failures));
      try {
        work();
        return failures;
      } catch (const std::runtime_error& error) {
        said = error.what();
      }
      CHECK(emulated_bytes(0) <= emulated_settings().memory);
    }
    INFO(said);
    CHECK(said.find("the device has no memory") != std::string::npos);
    check();
  }
  return -1;
}

CachePolicy updating_each(const std::string& name, int interval) {
  CachePolicy out;
  out.policy = make_policy(name);
  out.interval_tokens = interval;
  if (name == "full") return out;
  out.selection.budget = {Budget::Unit::tokens, 48};
  out.selection.sinks = 2;
  out.selection.recent = 8;
  return out;
}

llama_context_params one_sequence() {
  llama_context_params out = llama_context_default_params();
  out.n_ctx = 1024;
  return out;
}

void require_same(const std::vector<HeadContent>& a, const std::vector<HeadContent>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t h = 0; h < a.size(); ++h) CHECK(a[h].positions == b[h].positions);
}

}  // namespace

TEST_CASE("a batch that a device has no memory for is not read, and can be read again", "[device][refused-memory][emulated]") {
  const TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape), GENERATE(99, 3));  // 3: the first layer's cache is in host memory
  const auto tokens = random_tokens(360, shape.vocabulary, 4);
  for (const CachePolicy& policy : held_policies(shape)) {
    INFO(policy.policy->name());
    llama::Attached straight = llama::attach(model->get(), one_sequence(), policy);
    const std::size_t base = emulated_bytes(0);
    {
      llama::Attached attached = llama::attach(model->get(), one_sequence(), policy);
      std::vector<float> got, expected;
      // the first needs room for everything; then rows grow; a single token needs another shape of masks
      for (const auto& [from, count] : {std::pair{0, 240}, std::pair{240, 40}, std::pair{280, 1}}) {
        const auto part = std::span(tokens).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(count));
        int at = from;
        const int failures = until_there_is_memory(
            [&] {  // in parts of 40, of which those that were read are not read again
              while (at < from + count) {
                const auto size = std::min<std::size_t>(40, static_cast<std::size_t>(from + count - at));
                got = read(attached, part.subspan(static_cast<std::size_t>(at - from), size), 0, at);
                at += static_cast<int>(size);
              }
            },
            [&] {
              CHECK(llama_memory_seq_pos_max(llama_get_memory(attached.context()), 0) == at - 1);
              CHECK(attached.usage().tokens_seen == at);
              if (policy.policy->name() == std::string("full")) CHECK(attached.usage().entries == std::int64_t{at} * 3 * 2);
            });
        if (from == 0) CHECK(failures > 3);
        expected = read(straight, part, 0, from);
        CHECK(relative_difference({got}, {expected}) <= 4e-3);
      }
      attached.update();
      straight.update();
      require_same(attached.content(), straight.content());
    }
    straight.clear();
    CHECK(emulated_bytes(0) <= base + (std::size_t{1} << 20));  // masks of the newest batch
  }
}

TEST_CASE("an update without memory to copy rows evicts, and frees them when there is", "[device][refused-memory][emulated]") {
  const TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto tokens = random_tokens(600, shape.vocabulary, 4);
  llama::Attached attached = llama::attach(model->get(), one_sequence(), updating_each("random", 10000));
  llama::Attached straight = llama::attach(model->get(), one_sequence(), updating_each("random", 10000));
  read(attached, tokens, 0, 0);
  read(straight, tokens, 0, 0);
  const CacheUsage before = attached.usage();
  {
    const Limited limited(0);
    attached.update();
    CHECK(attached.usage().entries == 48 * 3 * 2);
    CHECK(attached.usage().kv_bytes == before.kv_bytes);
  }
  straight.update();
  require_same(attached.content(), straight.content());
  const std::size_t held = emulated_bytes(0);
  attached.update();
  CHECK(attached.usage().kv_bytes == 256 * 3 * 2 * (32 + 32) * 2);
  CHECK(static_cast<std::int64_t>(held - emulated_bytes(0)) == before.kv_bytes - attached.usage().kv_bytes);
  const auto more = random_tokens(80, shape.vocabulary, 5);
  CHECK(relative_difference({read(attached, more, 0, 600)}, {read(straight, more, 0, 600)}) <= 4e-3);
}

TEST_CASE("an update without memory to measure keys in is left out", "[device][refused-memory][emulated]") {
  const TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto tokens = random_tokens(600, shape.vocabulary, 4);
  llama::Attached attached = llama::attach(model->get(), one_sequence(), updating_each("knorm", 10000));
  llama::Attached straight = llama::attach(model->get(), one_sequence(), updating_each("knorm", 10000));
  read(attached, tokens, 0, 0);
  read(straight, tokens, 0, 0);
  const int failures = until_there_is_memory([&] { attached.update(); },
                                             [&] {
                                               CHECK(attached.usage().entries == 600 * 3 * 2);
                                               CHECK(attached.usage().updates == 0);
                                             });
  CHECK(failures > 0);
  attached.update();  // what was dropped then may not have been freed
  straight.update();
  require_same(attached.content(), straight.content());
  CHECK(attached.usage().kv_bytes == straight.usage().kv_bytes);
}

TEST_CASE("a copy that a device has no memory for is not made", "[device][refused-memory][emulated]") {
  const TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto prompt = random_tokens(400, shape.vocabulary, 4), then = random_tokens(40, shape.vocabulary, 5);
  llama_context_params params = one_sequence();
  params.n_ctx = 2 * 1024;
  params.n_seq_max = 2;
  params.kv_unified = false;
  const CachePolicy policy = updating_each("full", 64);
  llama::Attached straight = llama::attach(model->get(), params, policy);
  read(straight, prompt, 0, 0);
  const auto expected = read(straight, then, 0, 400);
  llama::Attached copied = llama::attach(model->get(), params, policy);
  read(copied, prompt, 0, 0);
  const std::int64_t entries = copied.usage().entries;
  bool tried = false;
  const int failures =
      until_there_is_memory([&] { copied.copy(0, 1); },
                            [&] {
                              CHECK(copied.usage().entries == entries);
                              CHECK(copied.content().size() == 3 * 2);
                              if (std::exchange(tried, true)) return;
                              CHECK_THROWS_WITH(read(copied, then, 1, 0), Catch::Contains("remove it and read it again"));
                              copied.remove(1);
                              CHECK(copied.usage().entries == entries);
                            });
  CHECK(failures > 0);
  CHECK(relative_difference({read(copied, then, 0, 400)}, {expected}) <= 4e-3);
  if (failures > 1) copied.remove(1), copied.copy(0, 1);  // who was refused a copy stays refused until it is removed
  CHECK(copied.usage().entries >= 2 * entries);
}

TEST_CASE("a saved state that a device has no memory for is not loaded", "[device][refused-memory][emulated]") {
  const TinyShape shape;
  const auto model = load_on_device(write_tiny_model(shape));
  const auto prompt = random_tokens(400, shape.vocabulary, 4), then = random_tokens(40, shape.vocabulary, 5),
             others = random_tokens(90, shape.vocabulary, 6);
  llama_context_params params = one_sequence();
  params.n_seq_max = 2;
  params.kv_unified = GENERATE(true, false);
  const CachePolicy policy = updating_each("full", 64);
  llama::Attached first = llama::attach(model->get(), params, policy), second = llama::attach(model->get(), params, policy);
  read(first, prompt, 0, 0);
  const std::vector<std::byte> saved = first.save(0);
  const auto expected = read(first, then, 0, 400);
  read(second, others, 1, 0);
  const std::int64_t entries = second.usage().entries, held = second.usage().kv_bytes;
  const int failures = until_there_is_memory([&] { second.load(saved, 0); },
                                             [&] {
                                               CHECK(second.usage().entries == entries);
                                               CHECK(second.usage().kv_bytes == held);
                                               CHECK(llama_memory_seq_pos_max(llama_get_memory(second.context()), 0) == -1);
                                             });
  CHECK(failures > 0);
  CHECK(relative_difference({read(second, then, 0, 400)}, {expected}) <= 4e-3);
  CHECK(second.usage().entries == entries + (400 + 40) * 3 * 2);
}
