#include "kernels/ragged_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/check.hpp"
#include "tests/kernels/attention_problem.hpp"

using namm::RowFormat;
using namespace namm::kernels;
using namespace namm::test;

namespace {

using Attend = void (*)(const RaggedHead&, const QueryTile&, AttentionPart&, float*);
using Merge = void (*)(const RaggedHead&, const QueryTile&, const AttentionPart*, std::size_t, const float*, float* const*,
                       float*, std::size_t);

/// keep_weights false: the softmax is online, and `mean` stays empty.
void run(const Problem& p, std::size_t blocks_per_part, const float* sinks, Attend attend, Merge merge, bool keep_weights,
         std::vector<float>& output, std::vector<float>& mean) {
  const std::size_t rows = static_cast<std::size_t>(p.shape.queries * p.shape.group), blocks = blocks_of(p.shape.entries);
  const std::size_t width = padded_value_size(p.shape.value_size);
  std::vector<AttentionPart> parts;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::int32_t>> active;
  std::vector<float> scratch(attention_scratch(p.shape.key_size, p.shape.value_size));
  for (std::size_t b = 0; b < blocks; b += blocks_per_part) {
    const std::size_t end = std::min(blocks, b + blocks_per_part);
    const std::size_t columns = keep_weights ? kBlock * (end - b) : kBlock;
    floats.emplace_back(rows * (columns + 2 + width));
    active.emplace_back(end - b);
    AttentionPart part;
    part.keep_weights = keep_weights;
    part.block_begin = b;
    part.block_end = end;
    part.active = active.back().data();
    part.weights = floats.back().data();
    part.maximum = part.weights + rows * columns;
    part.sum = part.maximum + rows;
    part.output = part.sum + rows;
    attend(p.head, p.tile, part, scratch.data());
    parts.push_back(part);
  }
  output.assign(rows * p.shape.value_size, -7);
  mean.assign(keep_weights ? static_cast<std::size_t>(p.shape.queries) * p.shape.entries : 0, -7);
  std::vector<float*> pointers;
  for (std::size_t r = 0; r < rows; ++r) pointers.push_back(output.data() + r * p.shape.value_size);
  merge(p.head, p.tile, parts.data(), parts.size(), sinks, pointers.data(), keep_weights ? mean.data() : nullptr,
        p.shape.entries);
}

}  // namespace

TEST_CASE("ragged attention equals a double computation from the numbers that are held") {
  const float sinks[8] = {0.3f, -2, 1, 0, 4, -1, 0.5f, 2};
  const auto [key_format, value_format] = GENERATE(values<std::pair<RowFormat, RowFormat>>({{RowFormat::f16, RowFormat::f16},
                                                                                            {RowFormat::q8_0, RowFormat::q8_0},
                                                                                            {RowFormat::f16, RowFormat::q8_0},
                                                                                            {RowFormat::q4_0, RowFormat::q4_0},
                                                                                            {RowFormat::q8_0, RowFormat::q4_0},
                                                                                            {RowFormat::q4_0, RowFormat::f16}}));
  CAPTURE(static_cast<int>(key_format), static_cast<int>(value_format));
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  // groups of codes that are not whole, with few rows and with many; sizes that two numbers in a byte do not divide
  for (const std::size_t size : {1u, 31u, 33u, 34u, 48u, 63u})
    for (const int queries : {1, 4}) shapes.push_back({70, size, size, queries, 3});
  for (const Shape& shape : shapes)
    for (const bool dense : {false, true})
      for (const bool with_sinks : {false, true})
        for (const float softcap : {0.0f, 5.0f}) {
          Problem p(shape, dense, key_format, value_format);
          p.tile.softcap = softcap;
          std::vector<double> output, mean;
          p.reference(with_sinks ? sinks : nullptr, output, mean);
          for (const std::size_t blocks_per_part : {1u, 3u, 100u})
            for (const bool vector : {false, true}) {
              std::vector<float> o, m, online, none;
              run(p, blocks_per_part, with_sinks ? sinks : nullptr, vector ? attend_part : scalar::attend_part,
                  vector ? merge_parts : scalar::merge_parts, true, o, m);
              run(p, blocks_per_part, with_sinks ? sinks : nullptr, vector ? attend_part : scalar::attend_part,
                  vector ? merge_parts : scalar::merge_parts, false, online, none);
              INFO("entries " << shape.entries << " key " << shape.key_size << " queries " << shape.queries << " dense " << dense
                              << " vector " << vector << " parts of " << blocks_per_part);
              CHECK(worst(o, output) < 5e-6);
              CHECK(worst(online, output) < 5e-6);
              CHECK(worst(m, mean) < 1e-6);
            }
        }
}

TEST_CASE("blocks that no query sees are skipped") {
  Problem p({640, 64, 64, 4, 3});
  for (std::size_t e = 64; e < 512; ++e) {
    p.first[e] = kNever;
    p.last[e] = -1;
  }
  for (std::size_t b = 1; b < 8; ++b) p.blocks[b] = {kNever, kNever, -1, -1};
  AttentionPart part;
  std::vector<std::int32_t> active(10);
  std::vector<float> floats(12 * (640 + 2 + 64)), scratch(attention_scratch(64, 64));
  part.block_end = 10;
  part.active = active.data();
  part.weights = floats.data();
  part.maximum = part.weights + 12 * 640;
  part.sum = part.maximum + 12;
  part.output = part.sum + 12;
  attend_part(p.head, p.tile, part, scratch.data());
  CHECK(part.active_count == 3);
}

TEST_CASE("ragged attention: a code that is not finite shows in the rows that see its entry, and in no other") {
  const RowFormat format = GENERATE(RowFormat::q8_0, RowFormat::q4_0);
  for (const bool vector : {false, true})
    for (const bool keep : {false, true})
      for (const bool in_key : {false, true})
        for (const std::size_t entry : {std::size_t{0}, std::size_t{62}, std::size_t{63}, std::size_t{64}, std::size_t{128},
                                        std::size_t{129}, std::size_t{10}}) {  // 10: hidden from all
          Problem p({130, 64, 64, 3, 2}, false, format, format);
          INFO("vector " << vector << " keep " << keep << " key " << in_key << " entry " << entry);
          std::vector<std::uint16_t> row(64, 0x3c00);
          row[40] = 0x7c00;
          std::vector<std::byte> packed(row_bytes(format, 64));
          pack_row(format, row.data(), 64, packed.data());
          (in_key ? put_key : put_value)((in_key ? p.key_blocks : p.value_blocks).data(), format, 64, entry, packed.data());
          p.head.values_overflow = !in_key;
          std::vector<float> output, mean;
          run(p, 1, nullptr, vector ? attend_part : scalar::attend_part, vector ? merge_parts : scalar::merge_parts, keep, output,
              mean);
          for (std::size_t r = 0; r < 6; ++r) {
            const bool finite = std::isfinite(output[r * 64 + 40]);
            CHECK(finite == !p.sees(static_cast<int>(r / 2), entry));
          }
        }
}

TEST_CASE("ragged attention: a hidden key or value that overflowed changes nothing") {
  const std::uint16_t infinity = 0x7c00;
  for (const bool dense : {false, true})
    for (const bool vector : {false, true}) {
      Problem p({130, 32, 32, 3, 2}, dense);
      const std::size_t hidden = 10;  // from all: every seventh old one
      REQUIRE((!p.sees(0, hidden) && !p.sees(2, hidden)));
      std::vector<float> before, after, mean_before, mean_after;
      const auto compute = [&](std::vector<float>& output, std::vector<float>& mean) {
        run(p, 1, nullptr, vector ? attend_part : scalar::attend_part, vector ? merge_parts : scalar::merge_parts, true, output,
            mean);
      };
      compute(before, mean_before);
      for (std::size_t d = 0; d < 32; ++d) p.keys[hidden / 64 * 32 * 64 + d * 64 + hidden % 64] = infinity;
      compute(after, mean_after);
      INFO("dense " << dense << " vector " << vector);
      CHECK(before == after);
      CHECK(mean_before == mean_after);
      p.head.values_overflow = true;  // else 0 * infinity
      for (std::size_t d = 0; d < 32; ++d) p.values[hidden * 32 + d] = infinity;
      compute(after, mean_after);
      CHECK(std::all_of(after.begin(), after.end(), [](float x) { return std::isfinite(x); }));
      for (std::size_t i = 0; i < after.size(); ++i) CHECK(after[i] == Approx(before[i]).margin(1e-5));
    }
}

TEST_CASE("ragged attention: what is not finite shows in the rows that see it, wherever it stands") {
  for (const std::uint16_t bad : {std::uint16_t{0x7e00}, std::uint16_t{0x7c00}})  // NaN, infinity
    for (const bool vector : {false, true})
      for (const bool keep : {false, true})
        for (const std::size_t entry : {std::size_t{0}, std::size_t{4}, std::size_t{62}, std::size_t{63}, std::size_t{129}}) {
          Problem p({130, 32, 32, 3, 2});
          INFO("half " << bad << " vector " << vector << " keep " << keep << " entry " << entry);
          for (std::size_t d = 0; d < 32; ++d) p.keys[entry / 64 * 32 * 64 + d * 64 + entry % 64] = bad;
          std::vector<float> output, mean;
          run(p, 1, nullptr, vector ? attend_part : scalar::attend_part, vector ? merge_parts : scalar::merge_parts, keep, output,
              mean);
          for (std::size_t r = 0; r < 6; ++r) {  // a product of signs both ways is NaN, else it is infinite either way
            bool positive = bad == 0x7e00;
            float sum = 0;
            for (std::size_t d = 0; d < 32; ++d) sum += p.rows[r * 32 + d] * half_to_float(bad);
            positive = positive || !(sum < 0);
            const bool sees = p.sees(static_cast<int>(r / 2), entry);
            CHECK(std::isfinite(output[r * 32]) == !(sees && positive));
          }
        }
}

TEST_CASE("ragged attention: a row that sees nothing gives zeros") {
  for (const bool vector : {false, true}) {
    Problem p({130, 32, 32, 3, 2}, true);
    std::fill_n(p.dense.begin() + 192, 192, std::uint8_t{0});  // the second of three queries
    std::vector<float> output, mean;
    run(p, 1, nullptr, vector ? attend_part : scalar::attend_part, vector ? merge_parts : scalar::merge_parts, true, output,
        mean);
    for (std::size_t i = 0; i < output.size(); ++i) CHECK((output[i] == 0) == (i / 64 == 1));
    for (std::size_t e = 0; e < 130; ++e) CHECK(mean[130 + e] == 0);
  }
}
