// The CUDA kernels' arithmetic on the host: blocks, warps and lanes are loops here, shuffles are loops over lanes.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/bam_query.hpp"
#include "kernels/compaction_step.hpp"
#include "kernels/key_probe_lane.hpp"
#include "kernels/ragged_statistics_lane.hpp"
#include "kernels/spectrogram.hpp"
#include "tests/check.hpp"
#include "tests/kernels/attention_problem.hpp"

using namespace namm::kernels;
using namespace namm::test;

namespace {

/// The order in which shuffles 16, 8, 4, 2, 1 apart add.
float warp_tree(std::vector<float> lanes) {
  for (std::size_t n = kWarp / 2; n > 0; n /= 2)
    for (std::size_t i = 0; i < n; ++i) lanes[i] += lanes[i + n];
  return lanes[0];
}

struct WarpResult {
  std::vector<float> output, log_sums;
};

/// attend and join of ragged_attention_cuda.cu.
template <int kPairs>
WarpResult warp_attention(const Problem& p, int parts, const float* sinks) {
  const int row_count = p.shape.queries * p.shape.group;
  const std::size_t blocks = blocks_of(p.head.count), size = p.shape.value_size;
  const auto total = static_cast<std::size_t>(row_count * parts);
  std::vector<float> maxima(total), sums(total), partial(total * size);
  for (int part = 0; part < parts; ++part)
    for (int first = 0; first < row_count; first += kWarpRows) {
      const WarpRows in{p.rows.data(), first, row_count, p.shape.group, p.tile.softcap};
      float maximum[kWarpRows], sum[kWarpRows] = {};
      std::fill_n(maximum, kWarpRows, kHidden);
      float output[kWarp][kWarpRows][2 * kPairs] = {};
      const auto at_part = [&](int n) { return blocks * static_cast<std::size_t>(n) / static_cast<std::size_t>(parts); };
      for (std::size_t block = at_part(part); block < at_part(part + 1); ++block) {
        float logits[kWarp][kWarpRows][2], weights[kWarpRows * kBlock];
        for (int lane = 0; lane < kWarp; ++lane) lane_logits(p.head, in, block, lane, logits[lane]);
        for (int r = 0; r < kWarpRows; ++r) {
          float largest = maximum[r];
          for (const auto& lane : logits) largest = std::max({largest, lane[r][0], lane[r][1]});
          std::vector<float> lane_sums(kWarp);
          for (std::size_t lane = 0; lane < kWarp; ++lane) {
            for (std::size_t j = 0; j < 2; ++j)
              weights[static_cast<std::size_t>(r) * kBlock + 2 * lane + j] = weight_of(logits[lane][r][j], largest);
            lane_sums[lane] = weights[static_cast<std::size_t>(r) * kBlock + 2 * lane] +
                              weights[static_cast<std::size_t>(r) * kBlock + 2 * lane + 1];
          }
          const float rescale = rescale_of(maximum[r], largest);
          sum[r] = sum[r] * rescale + warp_tree(lane_sums);
          maximum[r] = largest;
          for (auto& lane : output)
            for (float& x : lane[r]) x *= rescale;
        }
        for (int lane = 0; lane < kWarp; ++lane) lane_values<kPairs>(p.head, block, lane, weights, output[lane]);
      }
      for (int r = 0; r < kWarpRows && first + r < row_count; ++r) {
        const auto at = static_cast<std::size_t>((first + r) * parts + part);
        maxima[at] = maximum[r];
        sums[at] = sum[r];
        for (std::size_t lane = 0; lane < kWarp; ++lane)
          for (std::size_t pair = 0; pair < kPairs; ++pair)
            for (std::size_t j = 0; j < 2; ++j)
              if (64 * pair + 2 * lane + j < size) partial[at * size + 64 * pair + 2 * lane + j] = output[lane][r][2 * pair + j];
      }
    }
  WarpResult out;
  for (int row = 0; row < row_count; ++row) {
    const auto at = static_cast<std::size_t>(row * parts);
    const float total_sum = log_sum(maxima.data() + at, sums.data() + at, parts, 1, sinks ? sinks[row % p.shape.group] : kHidden);
    out.log_sums.push_back(total_sum);
    for (std::size_t n = 0; n < size; ++n) {
      float x = 0;
      for (std::size_t part = 0; total_sum != kHidden && part < static_cast<std::size_t>(parts); ++part)
        if (maxima[at + part] != kHidden) x += std::exp(maxima[at + part] - total_sum) * partial[(at + part) * size + n];
      out.output.push_back(x);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("CUDA arithmetic of ragged attention equals the double computation") {
  const float sinks[8] = {0.3f, -2, 1, 0, 4, -1, 0.5f, 2};
  for (const Shape& shape : kShapes)
    for (const bool dense : {false, true})
      for (const int parts : {1, 3})
        for (const float softcap : {0.0f, 5.0f}) {
          INFO("entries " << shape.entries << " values " << shape.value_size << " queries " << shape.queries << " parts "
                          << parts);
          Problem p(shape, dense);
          p.tile.softcap = softcap;
          const float* const with = parts == 1 ? sinks : nullptr;
          std::vector<double> output, mean;
          p.reference(with, output, mean);
          const WarpResult got = shape.value_size <= 64 ? warp_attention<1>(p, parts, with) : warp_attention<2>(p, parts, with);
          CHECK(worst(got.output, output) < 5e-6);
        }
}

TEST_CASE("CUDA arithmetic of the second sweep: sums, newest row and spectrogram without a matrix of probabilities") {
  const std::vector<float> table = spectrogram_table();
  for (const Shape& shape :
       {Shape{65, 64, 64, 16, 3}, Shape{300, 40, 24, 32, 7}, Shape{700, 64, 64, 20, 3}, Shape{1, 16, 8, 16, 1}}) {
    INFO("entries " << shape.entries << " queries " << shape.queries << " group " << shape.group);
    const Problem p(shape);
    const WarpResult attention = warp_attention<1>(p, 1, nullptr);
    std::vector<double> output, mean;
    p.reference(nullptr, output, mean);
    const std::size_t count = shape.entries;
    std::vector<float> accumulated(count, 0.5f), last_row(count), ema(count * 17, 0.25f), left(16 * count, 0.125f);
    std::vector<double> wanted_sum(count, 0.5);
    std::vector<float> wanted_ema = ema, ring(left);
    for (int first = 0; first < shape.queries; first += kHopQueries) {
      const int hop = std::min(kHopQueries, shape.queries - first);
      const HopStatistics out{accumulated.data(), last_row.data(), ema.data(), left.data(), count};
      WarpRows in{p.rows.data(), 0, (first + hop) * shape.group, shape.group, 0};
      for (std::size_t block = 0; block < blocks_of(count); ++block) {
        std::vector<float> means(kHopQueries * kBlock);
        for (in.first_row = first * shape.group; in.first_row < in.row_count; in.first_row += kWarpRows)
          for (int lane = 0; lane < kWarp; ++lane) {
            float logits[kWarpRows][2];
            lane_logits(p.head, in, block, lane, logits);
            lane_add_means(in, first, lane, logits, attention.log_sums.data(), means.data());
          }
        for (std::size_t e = block * kBlock; e < std::min(count, (block + 1) * kBlock); ++e)
          take_entry(out, e, means.data() + e % kBlock, hop, table.data(), 0.85f);
      }
      for (int q = first; q < first + hop; ++q)
        for (std::size_t e = 0; e < count; ++e) {
          wanted_sum[e] += mean[static_cast<std::size_t>(q) * count + e];
          ring.push_back(static_cast<float>(mean[static_cast<std::size_t>(q) * count + e]));
        }
      if (hop < kHopQueries) continue;
      const float* frame[32];
      for (std::size_t m = 0; m < 32; ++m) frame[m] = ring.data() + (static_cast<std::size_t>(first) + m) * count;
      spectrogram_frame_rows(frame, wanted_ema.data(), count, 0.85f);
    }
    CHECK(worst(accumulated, wanted_sum) < 2e-6 * shape.queries);
    CHECK(worst(last_row, {mean.end() - static_cast<std::ptrdiff_t>(count), mean.end()}) < 1e-6);
    CHECK(worst(ema, {wanted_ema.begin(), wanted_ema.end()}) < 2e-6);
  }
}

TEST_CASE("CUDA arithmetic of BAM equals the scalar twin") {
  constexpr std::size_t width = 25;
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  for (const std::size_t tokens : {1u, 3u, 63u, 64u, 65u, 127u, 129u, 200u}) {
    std::vector<float> features(tokens * width), parameters(bam_parameter_count(width)), wanted(tokens);
    for (float& x : features) x = normal(rng);
    for (float& x : parameters) x = 0.3f * normal(rng);
    scalar::bam_scores(features.data(), tokens, width, parameters.data(), wanted.data());
    const BamWeights weights(parameters.data(), width);
    std::vector<float> parts[3];
    for (int part = 0; part < 3; ++part)
      for (std::size_t t = 0; t < tokens; ++t)
        for (int o = 0; o < kBamWidth; ++o)
          parts[part].push_back(bam_project(features.data() + t * width, width, weights, part * kBamWidth + o));
    constexpr std::size_t kThreads = 128, kTileKeys = 64;  // of bam_cuda.cu
    for (std::size_t query = 0; query < tokens; ++query) {
      BamQuery q;
      bam_start(q, parts[0].data() + query * kBamWidth);
      for (std::size_t tile = query / kThreads * kThreads; tile < tokens; tile += kTileKeys)
        bam_attend(q, parts[1].data() + tile * kBamWidth, parts[2].data() + tile * kBamWidth,
                   query > tile ? static_cast<int>(std::min(query - tile, kTileKeys)) : 0,
                   static_cast<int>(std::min(kTileKeys, tokens - tile)));
      const float got = bam_read_out(q, features.data() + query * width, width, weights);
      INFO("token " << query << " of " << tokens);
      CHECK(got == Approx(wanted[query]).epsilon(1e-4).margin(1e-4));
    }
  }
}

TEST_CASE("CUDA arithmetic of the key probe equals the scalar twin for every type of row") {
  for (const RowType type : {RowType::f32, RowType::f16, RowType::bf16, RowType::q8_0})
    for (const std::size_t numbers : {2u, 32u, 62u, 64u, 66u, 96u, 192u})
      for (const int heads : {1, 8}) {
        if (type == RowType::q8_0 && numbers % 32 != 0) continue;
        INFO("type " << static_cast<int>(type) << " numbers " << numbers << " heads " << heads);
        constexpr std::size_t count = 3;
        const std::size_t stride = (row_bytes(type, numbers) + 15) / 8 * 8;
        std::vector<std::uint64_t> memory(count * stride / 8);
        std::mt19937 rng(5);
        std::normal_distribution<float> normal;
        auto* const bytes = reinterpret_cast<std::byte*>(memory.data());
        for (std::size_t t = 0; t < count; ++t)
          for (std::size_t i = 0; i < numbers; ++i) {
            const float x = normal(rng);
            const std::uint16_t half = float_to_half(x);
            std::uint32_t bits;
            std::memcpy(&bits, &x, 4);
            const auto bf16 = static_cast<std::uint16_t>(bits >> 16);
            std::byte* const row = bytes + t * stride;
            if (type == RowType::f32) std::memcpy(row + 4 * i, &x, 4);
            if (type == RowType::f16) std::memcpy(row + 2 * i, &half, 2);
            if (type == RowType::bf16) std::memcpy(row + 2 * i, &bf16, 2);
            if (type == RowType::q8_0) {
              if (i % 32 == 0) std::memcpy(row + i / 32 * 34, &half, 2);
              const auto quantum = static_cast<std::int8_t>(i * 7 % 200);
              std::memcpy(row + i / 32 * 34 + 2 + i % 32, &quantum, 1);
            }
          }
        const TokenRows rows{bytes, type, stride, count, numbers};
        std::vector<float> weights(static_cast<std::size_t>(heads) * numbers), wanted(static_cast<std::size_t>(heads) * count);
        for (float& w : weights) w = normal(rng);
        scalar::probe_rows(rows, weights.data(), numbers, heads, wanted.data(), count);
        for (std::size_t t = 0; t < count; ++t) {
          std::vector<std::vector<float>> lanes(kProbeHeads, std::vector<float>(kWarp));
          for (int lane = 0; lane < kWarp; ++lane) {
            float sums[kProbeHeads];
            probe_lane(rows, t, lane, weights.data(), numbers, heads, sums);
            for (std::size_t h = 0; h < kProbeHeads; ++h) lanes[h][static_cast<std::size_t>(lane)] = sums[h];
          }
          for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h)
            CHECK(warp_tree(lanes[h]) == Approx(wanted[h * count + t]).epsilon(1e-5).margin(2e-4));
        }
      }
}

TEST_CASE("CUDA compaction in place: chunks of threads that read, then write") {
  constexpr std::size_t kThreads = 7;  // small, so that many chunks overlap
  for (const std::size_t count : {0u, 1u, 6u, 7u, 8u, 64u, 65u, 200u}) {
    constexpr std::size_t size = 8;
    std::vector<std::int32_t> kept;
    std::mt19937 rng(static_cast<unsigned>(count));
    for (std::size_t i = 0; i < count; ++i)
      if (i < 3 || rng() % 3 > 0) kept.push_back(static_cast<std::int32_t>(i));
    std::vector<std::uint16_t> blocks(blocks_of(count) * kBlock * size);
    std::vector<Bytes16> rows(count);
    for (std::size_t e = 0; e < count; ++e) {
      for (std::size_t d = 0; d < size; ++d)
        blocks[(e / kBlock * size + d) * kBlock + e % kBlock] = static_cast<std::uint16_t>(e * 10 + d);
      rows[e] = {{static_cast<std::uint32_t>(e), 1, 2, 3}};
    }
    const auto compact = [&](const CompactionSlice& slice, auto piece) {
      for (std::size_t begin = 0; begin < kept.size(); begin += kThreads) {
        std::vector<decltype(piece)> pieces(kThreads);
        std::vector<bool> have(kThreads);
        for (std::size_t t = 0; t < kThreads; ++t) have[t] = read_piece(slice, kept.data(), kept.size(), begin + t, pieces[t]);
        for (std::size_t t = 0; t < kThreads; ++t)
          if (have[t]) write_piece(slice, begin + t, pieces[t]);
      }
    };
    for (std::size_t d = 0; d < size && count > 0; ++d)
      compact({reinterpret_cast<std::byte*>(blocks.data() + d * kBlock), 0, size * kBlock * 2}, std::uint16_t{});
    compact({reinterpret_cast<std::byte*>(rows.data()), sizeof(Bytes16), 0}, Bytes16{});
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      wrong += rows[i].part[0] != static_cast<std::uint32_t>(kept[i]);
      for (std::size_t d = 0; d < size; ++d)
        wrong += blocks[(i / kBlock * size + d) * kBlock + i % kBlock] !=
                 static_cast<std::uint16_t>(static_cast<std::size_t>(kept[i]) * 10 + d);
    }
    INFO("entries " << count);
    CHECK(wrong == 0);
  }
}
