// The CUDA kernels on a device beside the CPU's. Without a device every case says so and is skipped (ctest shows it).
#include <cuda_runtime.h>

#include <iostream>
#include <vector>

#include "kernels/bam_cuda.hpp"
#include "kernels/compaction.hpp"
#include "kernels/compaction_cuda.hpp"
#include "kernels/key_probe_cuda.hpp"
#include "kernels/ragged_attention_cuda.hpp"
#include "kernels/spectrogram.hpp"
#include "kernels/spectrogram_cuda.hpp"
#include "kernels/spectrogram_token.hpp"
#include "tests/check.hpp"
#include "tests/kernels/attention_problem.hpp"
#include "tests/kernels/normal.hpp"

using namespace namm::kernels;
using namespace namm::test;

namespace {

bool device_present() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) return true;
  std::cout << "SKIPPED: no CUDA device\n";
  return false;
}
#define NAMM_NEED_DEVICE() \
  if (!device_present()) return

/// A copy of numbers on the device.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& from) : count_(from.size()) {
    REQUIRE(cudaMalloc(&data_, std::max<std::size_t>(1, bytes())) == cudaSuccess);
    REQUIRE(cudaMemcpy(data_, from.data(), bytes(), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }
  T* get() const { return static_cast<T*>(data_); }
  std::vector<T> back() const {
    std::vector<T> out(count_);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    REQUIRE(cudaMemcpy(out.data(), data_, bytes(), cudaMemcpyDeviceToHost) == cudaSuccess);
    return out;
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(T); }
  void* data_ = nullptr;
  std::size_t count_;
};

}  // namespace

TEST_CASE("on the device: ragged attention and the statistics of its second sweep") {
  NAMM_NEED_DEVICE();
  const OnDevice<float> table(spectrogram_table());
  for (const Shape& shape : kShapes)
    for (const bool dense : {false, true})
      for (const int parts : {1, 4}) {
        INFO("entries " << shape.entries << " values " << shape.value_size << " queries " << shape.queries << " parts " << parts);
        const Problem p(shape, dense);
        std::vector<double> output, mean;
        p.reference(nullptr, output, mean);
        const OnDevice<std::uint16_t> keys(p.keys), values(p.values);
        const OnDevice<std::int32_t> first(p.first), last(p.last);
        const OnDevice<BlockVisibility> blocks(p.blocks);
        const OnDevice<std::uint8_t> seen(p.dense);
        RaggedHead head = p.head;
        head.keys = keys.get();
        head.values = values.get();
        head.first = first.get();
        head.last = last.get();
        head.blocks = blocks.get();
        head.dense = dense ? seen.get() : nullptr;
        const OnDevice<RaggedHead> heads({head});
        const OnDevice<float> rows(p.rows), got(std::vector<float>(output.size()));
        const OnDevice<float> log_sums(std::vector<float>(static_cast<std::size_t>(shape.queries * shape.group)));
        RaggedAttentionCuda call;
        call.heads = heads.get();
        call.kv_heads = 1;
        call.rows = rows.get();
        call.queries = shape.queries;
        call.group = shape.group;
        call.key_size = shape.key_size;
        call.value_size = shape.value_size;
        call.parts = parts;
        const OnDevice<float> workspace(std::vector<float>(ragged_attention_workspace(call)));
        call.workspace = workspace.get();
        call.output = got.get();
        call.log_sums = log_sums.get();
        ragged_attention_cuda(call, nullptr);
        CHECK(worst(got.back(), output) < 1e-5);

        const int hop = std::min(16, shape.queries);
        const std::size_t count = shape.entries;
        const OnDevice<float> sum(std::vector<float>(count, 0.0f)), row(std::vector<float>(count, 0.0f));
        const OnDevice<float> ema(std::vector<float>(count * 17, 0.0f)), left(std::vector<float>(count * 16, 0.0f));
        const OnDevice<HopStatistics> statistics({HopStatistics{sum.get(), row.get(), ema.get(), left.get(), count}});
        ragged_statistics_cuda(call, 0, hop, statistics.get(), count, table.get(), 0.85f, nullptr);
        std::vector<double> wanted(count, 0.0);
        for (int q = 0; q < hop; ++q)
          for (std::size_t e = 0; e < count; ++e) wanted[e] += mean[static_cast<std::size_t>(q) * count + e];
        CHECK(worst(sum.back(), wanted) < 1e-5);
        if (hop < 16) continue;
        std::vector<float> frame(32 * count), wanted_ema(count * 17);
        for (std::size_t i = 0; i < 16 * count; ++i) frame[16 * count + i] = static_cast<float>(mean[i]);
        const float* frame_rows[32];
        for (std::size_t m = 0; m < 32; ++m) frame_rows[m] = frame.data() + m * count;
        spectrogram_frame_rows(frame_rows, wanted_ema.data(), count, 0.85f);
        CHECK(worst(ema.back(), {wanted_ema.begin(), wanted_ema.end()}) < 1e-5);
      }
}

TEST_CASE("on the device: spectrogram frames") {
  NAMM_NEED_DEVICE();
  const OnDevice<float> table(spectrogram_table());
  for (const std::size_t tokens : {1u, 127u, 128u, 129u}) {
    const std::vector<float> signal = normal(tokens * 32, 1, 1);
    std::vector<float> wanted(tokens * 17, 0.5f);
    const OnDevice<float> in(signal), ema(wanted);
    spectrogram_frame_cuda(in.get(), ema.get(), tokens, 0.85f, table.get(), nullptr);
    spectrogram_frame(signal.data(), wanted.data(), tokens, 0.85f);
    CHECK(worst(ema.back(), {wanted.begin(), wanted.end()}) < 1e-5);
  }
}

TEST_CASE("on the device: BAM of several lists") {
  NAMM_NEED_DEVICE();
  constexpr std::size_t width = 25;
  const std::vector<std::size_t> lengths = {1, 63, 64, 65, 127, 128, 129, 1000};
  const std::vector<float> features = normal(1000 * width, 2, 1), parameters = normal(bam_parameter_count(width), 3, 0.2f);
  const OnDevice<float> f(features), w(parameters), scores(std::vector<float>(lengths.size() * 1000));
  std::vector<BamProblem> problems;
  for (std::size_t i = 0; i < lengths.size(); ++i) problems.push_back({f.get(), lengths[i], w.get(), scores.get() + i * 1000});
  const OnDevice<BamProblem> on_device(problems);
  const OnDevice<float> workspace(std::vector<float>(bam_workspace(problems.size(), 1000)));
  bam_scores_cuda(on_device.get(), static_cast<int>(problems.size()), 1000, width, workspace.get(), nullptr);
  const std::vector<float> got = scores.back();
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    std::vector<float> wanted(lengths[i]);
    bam_scores(features.data(), lengths[i], width, parameters.data(), wanted.data());
    for (std::size_t t = 0; t < lengths[i]; ++t) CHECK(got[i * 1000 + t] == Approx(wanted[t]).epsilon(1e-3).margin(1e-3));
  }
}

TEST_CASE("on the device: key probe") {
  NAMM_NEED_DEVICE();
  constexpr std::size_t count = 100, numbers = 192;
  const std::vector<float> rows = normal(count * numbers, 4, 1), weights = normal(9 * numbers, 5, 1);
  std::vector<float> wanted(9 * count, 0.5f);
  const OnDevice<float> r(rows), w(weights), scores(wanted);
  probe_rows_cuda({r.get(), RowType::f32, numbers * 4, count, numbers}, w.get(), numbers, 9, scores.get(), count, nullptr);
  probe_rows({rows.data(), RowType::f32, numbers * 4, count, numbers}, weights.data(), numbers, 9, wanted.data(), count);
  CHECK(worst(scores.back(), {wanted.begin(), wanted.end()}) < 1e-4);
}

TEST_CASE("on the device: compaction of every layout") {
  NAMM_NEED_DEVICE();
  constexpr std::size_t entries = 1000, size = 64;
  std::vector<std::int32_t> kept;
  for (std::int32_t i = 0; i < 1000; ++i)
    if (i % 5 != 2) kept.push_back(i);
  std::vector<std::uint16_t> data(blocks_of(entries) * kBlock * size);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint16_t>(i * 31);
  const OnDevice<std::int32_t> indices(kept);
  const OnDevice<KeptEntries> lists({KeptEntries{indices.get(), kept.size()}});
  const auto check = [&](auto on_device, auto on_host, std::size_t numbers) {
    std::vector<std::uint16_t> wanted = data;
    const OnDevice<std::uint16_t> copy(data);
    const OnDevice<std::uint16_t*> pointers({copy.get()});
    on_device(pointers.get());
    on_host(wanted);
    std::vector<std::uint16_t> got = copy.back();
    got.resize(numbers);
    wanted.resize(numbers);
    CHECK(got == wanted);
  };
  const auto bytes = [](std::uint16_t* const* p) { return reinterpret_cast<std::byte* const*>(p); };
  const auto raw = [](std::vector<std::uint16_t>& v) { return reinterpret_cast<std::byte*>(v.data()); };
  check([&](auto p) { compact_blocks_cuda(p, size, lists.get(), 1, nullptr); },
        [&](auto& v) { compact_blocks(v.data(), size, kept); }, kept.size() / kBlock * kBlock * size);
  check([&](auto p) { compact_rows_cuda(bytes(p), 2 * size, 2 * size, lists.get(), 1, nullptr); },
        [&](auto& v) { compact_rows(raw(v), 2 * size, 2 * size, kept); }, kept.size() * size);
  check([&](auto p) { compact_rows_cuda(bytes(p), 68, 68, lists.get(), 1, nullptr); },
        [&](auto& v) { compact_rows(raw(v), 68, 68, kept); }, kept.size() * 34);
  check([&](auto p) { compact_columns_cuda(bytes(p), 2, size, entries, lists.get(), 1, nullptr); },
        [&](auto& v) { compact_columns(raw(v), 2, size, entries, kept); }, kept.size());
}
