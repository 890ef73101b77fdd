// Caches of other types than f16 in device memory: the runtime's numbers, rows that survive any number of moves as they are, and
// the bytes that such a type takes.
#include <algorithm>
#include <cstring>
#include <random>

#include "adapters/llama_cpp/device/layer_rows.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/device/reading.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

struct Types {
  ggml_type keys, values;
  double bytes;  // of a key's number and a value's
};
constexpr double kQ8 = 34.0 / 32;
const std::vector<Types> kAllTypes = {{GGML_TYPE_BF16, GGML_TYPE_BF16, 4},
                                      {GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 2 * kQ8},
                                      {GGML_TYPE_F16, GGML_TYPE_Q8_0, 2 + kQ8},
                                      {GGML_TYPE_Q8_0, GGML_TYPE_BF16, kQ8 + 2}};

/// Those that a device has attention for; CUDA, as it is built by default, has one type for both.
std::vector<Types> types_here() {
  std::vector<Types> out = kAllTypes;
  if (on_real_devices()) std::erase_if(out, [](const Types& types) { return types.keys != types.values; });
  return out;
}

/// Real devices take more than the rows for some types.
void require_bytes(std::int64_t bytes, double rows) {
  if (!on_real_devices()) CHECK(bytes == std::llround(rows));
  CHECK(static_cast<double>(bytes) >= rows);
  CHECK(static_cast<double>(bytes) <= 1.02 * rows + (1 << 16));
}

CachePolicy evicting(const std::string& name) {
  CachePolicy memory;
  memory.policy = make_policy(name);
  memory.interval_tokens = 64;
  memory.selection.sinks = 2;
  memory.selection.recent = 8;
  if (name != "full") memory.selection.budget = {Budget::Unit::tokens, 48};
  return memory;
}

Placement placed(const Types& types, bool on_device, const std::optional<CachePolicy>& memory = {}) {
  Placement out;
  out.memory = memory;
  out.key_type = types.keys;
  out.value_type = types.values;
  if (!on_device) out.devices.clear();
  out.offload_cache = on_device;
  return out;
}

/// What a device cannot do, while it lives.
struct Lacking {
  explicit Lacking(bool (*what)(const ggml_tensor*)) { emulated_settings().lacks = what; }
  ~Lacking() { emulated_settings() = {}; }
};
bool moving_words(const ggml_tensor* node) {
  return node->op == GGML_OP_GET_ROWS && node->src[0]->type == GGML_TYPE_I32;
}
/// KV heads along dimension 3, as the nodes of an attachment have them.
bool attention_of_q8_by_head(const ggml_tensor* node) {
  return node->op == GGML_OP_FLASH_ATTN_EXT && node->src[1]->type == GGML_TYPE_Q8_0 && node->src[1]->ne[3] == 2;
}

std::string refusal(const std::filesystem::path& model, const Placement& placement) {
  try {
    PlacedContext context(model, placement);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "attached";
}

}  // namespace

TEST_CASE("of any type, with everything kept, a device gives what it gives without a policy", "[device][types][exact]") {
  const Types types = GENERATE(from_range(types_here()));
  TinyShape shape;
  if (!on_real_devices())
    shape.head_size = GENERATE(32, 64);  // of 64 llama.cpp rotates q8_0 rows; those of 32 are no whole words
  INFO(ggml_type_name(types.keys) << " and " << ggml_type_name(types.values) << ", heads of " << shape.head_size);
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(330, shape.vocabulary, 3);
  PlacedContext plain(model, placed(types, true)), attached(model, placed(types, true, evicting("full")));
  CHECK(relative_difference(read_all(attached, tokens), read_all(plain, tokens)) <= exactly());
  const CacheUsage usage = attached.store()->usage();
  CHECK(usage.entries == usage.entries_full);
  const double row = 3 * 2 * shape.head_size * types.bytes;
  require_bytes(usage.kv_bytes, 512 * row);
  CHECK(usage.kv_bytes_full == std::llround(330 * row));
}

TEST_CASE("of any type, a device keeps the tokens that the host's store keeps", "[device][types]") {
  const Types types = GENERATE(from_range(types_here()));
  TinyShape shape;
  if (!on_real_devices()) shape.head_size = GENERATE(32, 64);
  const std::string name = GENERATE(as<std::string>{}, "streaming", "random");
  INFO(name << ": " << ggml_type_name(types.keys) << " and " << ggml_type_name(types.values) << ", heads of " << shape.head_size);
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(330, shape.vocabulary, 4);
  // the device's own kernel rounds queries to q8_0, too, and adds up in F16: so far it is apart where everything is kept
  PlacedContext all_on_host(model, placed(types, false, evicting("full"))), plain(model, placed(types, true));
  const double kernels = relative_difference(read_all(plain, tokens), read_all(all_on_host, tokens));
  PlacedContext host(model, placed(types, false, evicting(name))), device(model, placed(types, true, evicting(name)));
  const double difference = relative_difference(read_all(device, tokens), read_all(host, tokens));
  INFO("kernels apart " << kernels << ", evicting " << difference);
  CHECK(kernels < nearly(5e-2));
  CHECK(difference <= nearly(2 * kernels));
  const auto on_device = device.store()->content(), on_host = host.store()->content();
  REQUIRE(on_device.size() == on_host.size());
  for (std::size_t h = 0; h < on_host.size(); ++h) CHECK(on_device[h].positions == on_host[h].positions);
  device.store()->update();
  const CacheUsage usage = device.store()->usage();
  CHECK(usage.entries == 48 * 3 * 2);
  require_bytes(usage.kv_bytes, 256 * 3 * 2 * shape.head_size * types.bytes);
  CHECK(usage.kv_bytes_peak >= std::llround(256 * 3 * 2 * shape.head_size * types.bytes));
}

TEST_CASE("policies that read sizes and attention keep nearly the same of a cache of any type", "[device][types]") {
  const Types types = GENERATE(from_range(types_here()));
  const TinyShape shape;
  const std::string name = GENERATE(as<std::string>{}, "knorm", "h2o", "tova");
  INFO(name << ": " << ggml_type_name(types.keys) << " and " << ggml_type_name(types.values));
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(330, shape.vocabulary, 4);
  PlacedContext host(model, placed(types, false, evicting(name))), device(model, placed(types, true, evicting(name)));
  read_all(host, tokens);
  read_all(device, tokens);
  std::size_t same = 0, all = 0;
  const auto on_device = device.store()->content(), on_host = host.store()->content();
  for (std::size_t h = 0; h < on_host.size(); ++h)
    for (const std::int32_t position : on_host[h].positions) {
      ++all;
      same += std::binary_search(on_device[h].positions.begin(), on_device[h].positions.end(), position) ? 1 : 0;
    }
  INFO(same << " of " << all << " tokens are the same");
  CHECK(device.store()->usage().entries == host.store()->usage().entries);
  CHECK(static_cast<double>(same) >= 0.97 * static_cast<double>(all));
}

TEST_CASE("rows survive moves to the byte", "[device][types][emulated]") {
  const Types types = GENERATE(from_range(types_here()));
  const std::int64_t size = GENERATE(32, 64, 96);
  const Lacking lacking(GENERATE(as<bool (*)(const ggml_tensor*)>{}, nullptr, moving_words));
  INFO(ggml_type_name(types.keys) << " and " << ggml_type_name(types.values) << ", heads of " << size);
  device_count();  // there are some
  const std::unique_ptr<ggml_backend, void (*)(ggml_backend_t)> backend(ggml_backend_dev_init(emulated_device(0), nullptr),
                                                                        ggml_backend_free);
  const llama::DeviceStream stream{
      backend.get(), [](ggml_backend_t b, ggml_cgraph* graph) { return ggml_backend_graph_compute_async(b, graph); }};
  llama::LayerRows rows(ggml_backend_dev_buffer_type(emulated_device(0)), {types.keys, types.values}, 2, size, size);
  const std::size_t width = rows.row_bytes();
  CHECK(width == static_cast<std::size_t>(std::llround(static_cast<double>(size) * types.bytes)));
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<std::vector<std::byte>> expected(2);
  std::vector<std::int32_t> cells(700);
  for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = static_cast<std::int32_t>(i);
  for (std::size_t head = 0; head < 2; ++head) {
    rows.slots()[head]->take(rows.slots()[head]->add_list(), cells);
    for (std::size_t i = 0; i < cells.size(); ++i)
      for (const ggml_type type : {types.keys, types.values}) {
        std::vector<float> numbers(static_cast<std::size_t>(size));
        for (float& x : numbers) x = normal(random) * static_cast<float>(i % 7);  // of some rows nothing but zeros
        std::vector<std::byte> packed(ggml_row_size(type, size));
        ggml_get_type_traits(type)->from_float_ref(numbers.data(), packed.data(), size);
        expected[head].insert(expected[head].end(), packed.begin(), packed.end());
      }
  }
  rows.grow(stream);
  for (int head = 0; head < 2; ++head) rows.write(stream, head, cells, expected[static_cast<std::size_t>(head)]);
  const auto require_rows = [&] {
    for (std::size_t head = 0; head < 2; ++head) {
      std::vector<std::int32_t> slots, left;
      std::vector<std::byte> wanted;
      for (const std::int32_t cell : cells)
        if (const std::int32_t slot = rows.slots()[head]->slot_at(cell); slot != llama::RowSlots::kFree) {
          slots.push_back(slot);
          const auto from = expected[head].begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(cell) * width);
          wanted.insert(wanted.end(), from, from + static_cast<std::ptrdiff_t>(width));
        }
      const std::vector<std::byte> got = rows.read(stream, static_cast<int>(head), slots);
      CHECK(rows.are_finite(got));
      REQUIRE(got == wanted);
    }
  };
  require_rows();
  for (int round = 0; round < 2; ++round) {  // each head loses others: 467 rows are left, then 233
    for (std::size_t head = 0; head < 2; ++head)
      for (const std::int32_t cell : cells)
        if ((static_cast<std::size_t>(cell) + head + static_cast<std::size_t>(round)) % 3 == 0 &&
            rows.slots()[head]->slot_at(cell) != llama::RowSlots::kFree)
          rows.slots()[head]->release({&cell, 1});
    rows.shrink(stream);
    require_rows();
  }
  CHECK(rows.capacity() == 256);
  CHECK(rows.bytes() == std::llround(256.0 * 2 * static_cast<double>(size) * types.bytes));
}

TEST_CASE("a number of a saved row that is not finite is found, of any type", "[device][types]") {
  const Types types = GENERATE(from_range(types_here()));
  const llama::LayerRows rows(nullptr, {types.keys, types.values}, 1, 64, 64);
  const std::vector<std::byte> zeros(2 * rows.row_bytes());
  CHECK(rows.are_finite(zeros));
  const std::size_t key = ggml_row_size(types.keys, 64);
  const auto damaged = [&](ggml_type type, std::size_t at, bool infinite) {
    const std::uint16_t bits = type == GGML_TYPE_BF16 ? (infinite ? 0xff80 : 0x7fc0) : (infinite ? 0xfc00 : 0x7e00);
    std::vector<std::byte> out = zeros;
    std::memcpy(out.data() + at, &bits, sizeof bits);
    return out;
  };
  for (const bool infinite : {false, true}) {
    CHECK_FALSE(rows.are_finite(damaged(types.keys, 0, infinite)));
    CHECK_FALSE(rows.are_finite(damaged(types.keys, key - ggml_type_size(types.keys), infinite)));
    CHECK_FALSE(rows.are_finite(damaged(types.values, key, infinite)));
    CHECK_FALSE(rows.are_finite(damaged(types.values, 2 * rows.row_bytes() - ggml_type_size(types.values), infinite)));
  }
}

TEST_CASE("what a device cannot do with a type is refused before the first batch", "[device][types][refused][emulated]") {
  TinyShape shape;
  const auto model = write_tiny_model(shape);
  const Types q8{GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 2 * kQ8};
  const Placement placement = placed(q8, true, evicting("full"));
  REQUIRE(refusal(model, placement) == "attached");
  SECTION("attention by head") {
    const Lacking lacking(attention_of_q8_by_head);
    CHECK(refusal(model, placement)
              .find("device EMU0 cannot compute FLASH_ATTN_EXT of f32, q8_0, q8_0, f16 into f32 as a policy needs "
                    "it; keep the cache in host memory") != std::string::npos);
  }
  SECTION("products for statistics: only of policies that read attention") {
    const Lacking lacking(
        [](const ggml_tensor* node) { return node->op == GGML_OP_MUL_MAT && node->src[0]->type == GGML_TYPE_Q8_0; });
    CHECK(refusal(model, placement) == "attached");
    CHECK(refusal(model, placed(q8, true, evicting("h2o"))).find("cannot compute MUL_MAT of q8_0, f32") != std::string::npos);
  }
  SECTION("sizes of keys: only of policies that read them") {
    const Lacking lacking(
        [](const ggml_tensor* node) { return node->op == GGML_OP_CPY && node->src[0]->type == GGML_TYPE_Q8_0; });
    CHECK(refusal(model, placement) == "attached");
    CHECK(refusal(model, placed(q8, true, evicting("knorm"))).find("cannot compute CPY of q8_0") != std::string::npos);
  }
  SECTION("keys that llama.cpp rotates") {
    CachePolicy memory = evicting("random");
    memory.policy = held_policies(shape).back().policy;  // a calibrated one
    for (const bool on_device : {true, false})
      for (const Types& types : {q8, Types{GGML_TYPE_F16, GGML_TYPE_Q8_0, 0}})
        CHECK(refusal(model, placed(types, on_device, memory)).find("is q8_0, for which llama.cpp rotates them") !=
              std::string::npos);
    CHECK(refusal(model, placed({GGML_TYPE_BF16, GGML_TYPE_BF16, 4}, true, memory)) == "attached");
  }
}
