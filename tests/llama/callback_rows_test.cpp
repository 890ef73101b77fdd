// What compaction does to the runtime's cache, byte by byte, for every type and both layouts of values.
#include <ggml-backend.h>

#include <cstring>

#include "adapters/llama_callback/callback_memory.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/llama/seeded_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;
using llama::CallbackMemory;
using llama::StockLayer;

namespace {

std::string bytes_of(const ggml_tensor* tensor) {
  std::string out(ggml_nbytes(tensor), '\0');
  ggml_backend_tensor_get(tensor, out.data(), 0, out.size());
  return out;
}

/// A key or value of one head in one cell.
std::string row_of(const ggml_tensor* tensor, const std::string& bytes, bool transposed, std::size_t size, int head, int cell) {
  if (!transposed) {
    const std::size_t piece = ggml_row_size(tensor->type, static_cast<std::int64_t>(size));
    return bytes.substr(static_cast<std::size_t>(cell) * tensor->nb[1] + static_cast<std::size_t>(head) * piece, piece);
  }
  std::string out;
  const std::size_t number = ggml_type_size(tensor->type), cells = static_cast<std::size_t>(tensor->ne[1]);
  for (std::size_t d = 0; d < size; ++d)
    out += bytes.substr(((static_cast<std::size_t>(head) * size + d) * cells + static_cast<std::size_t>(cell)) * number, number);
  return out;
}

}  // namespace

TEST_CASE("compaction moves every kept row as it is, and leaves other cells alone", "[llama][callback]") {
  struct Kind {
    ggml_type keys, values;
    bool flash;
  };
  const Kind kind = GENERATE(values<Kind>({{GGML_TYPE_F16, GGML_TYPE_F16, false},
                                           {GGML_TYPE_F16, GGML_TYPE_F16, true},
                                           {GGML_TYPE_F32, GGML_TYPE_F32, false},
                                           {GGML_TYPE_F32, GGML_TYPE_F32, true},
                                           {GGML_TYPE_BF16, GGML_TYPE_BF16, true},
                                           {GGML_TYPE_Q8_0, GGML_TYPE_F16, false},
                                           {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, true}}));
  INFO(ggml_type_name(kind.keys) << ", " << ggml_type_name(kind.values) << (kind.flash ? ", flash attention" : ""));
  TinyShape shape;
  shape.head_size = 64;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(100, shape.vocabulary, 6);
  ContextSettings settings;
  settings.cells = 512;
  settings.flash_attention = kind.flash;
  settings.type_k = kind.keys;
  settings.type_v = kind.values;
  // no update is reached before the one at the end: until then both runs are the same computation
  CachePolicy memory;
  memory.policy = std::make_shared<SeededPolicy>();
  memory.selection.budget = {Budget::Unit::tokens, 30};
  CallbackMemory whole, evicted;
  settings.callback = &whole;
  Context plain(model, settings);
  whole.reset(full_memory());
  plain.evaluate(tokens, 50);
  settings.callback = &evicted;
  Context context(model, settings);
  evicted.reset(memory);
  context.evaluate(tokens, 50);
  const std::vector<std::int32_t> before = evicted.cells();
  evicted.update();
  REQUIRE(evicted.cells().size() == 30);
  const auto content = evicted.content();
  std::size_t next = 0;
  for (std::size_t l = 0; l < evicted.stock_layers().size(); ++l) {
    const StockLayer &ours = evicted.stock_layers()[l], &theirs = whole.stock_layers()[l];
    CHECK(ours.values_transposed == !kind.flash);
    const std::string our_keys = bytes_of(ours.keys), our_values = bytes_of(ours.values);
    const std::string keys = bytes_of(theirs.keys), values = bytes_of(theirs.values);
    for (int h = 0; h < ours.kv_heads; ++h, ++next) {
      const auto& positions = content[next].positions;
      REQUIRE(positions.size() == 30);
      std::size_t moved = 0;
      for (std::size_t e = 0; e < positions.size(); ++e) {
        const int to = evicted.cells()[e], from = before[static_cast<std::size_t>(positions[e])];
        moved += to != from ? 1 : 0;
        CHECK(row_of(ours.keys, our_keys, false, ours.key_size, h, to) ==
              row_of(theirs.keys, keys, false, ours.key_size, h, from));
        CHECK(row_of(ours.values, our_values, ours.values_transposed, ours.value_size, h, to) ==
              row_of(theirs.values, values, ours.values_transposed, ours.value_size, h, from));
      }
      CHECK(moved > 10);
      for (int cell = 40; cell < 98; ++cell) {  // freed, and not written
        CHECK(row_of(ours.keys, our_keys, false, ours.key_size, h, cell) ==
              row_of(theirs.keys, keys, false, ours.key_size, h, cell));
        CHECK(row_of(ours.values, our_values, ours.values_transposed, ours.value_size, h, cell) ==
              row_of(theirs.values, values, ours.values_transposed, ours.value_size, h, cell));
      }
    }
  }
}

TEST_CASE("callback: flash attention on and off go on alike after compaction", "[llama][callback]") {
  // values of bf16 are accumulated in single precision by flash attention on the CPU; queries are rounded to halves
  TinyShape shape;
  shape.layers = 1;
  const auto model = llama::LlamaModel::load(write_tiny_model(shape));
  const auto tokens = random_tokens(200, shape.vocabulary, 7);
  std::vector<std::vector<float>> logits[2];
  for (const bool flash : {false, true}) {
    ContextSettings settings;
    settings.cells = 256;
    settings.flash_attention = flash;
    settings.type_v = GGML_TYPE_BF16;
    CallbackMemory attached;
    settings.callback = &attached;
    Context context(model, settings);
    CachePolicy memory;
    memory.policy = std::make_shared<SeededPolicy>();
    memory.selection.budget = {Budget::Unit::tokens, 30};
    memory.interval_tokens = 40;
    attached.reset(memory);
    logits[flash] = context.evaluate(tokens, 20);
  }
  const double apart = largest_difference(logits[0], logits[1]) / largest(logits[0]);
  INFO(apart);
  CHECK(apart < 2e-3);
}
