#include "kernels/machine_peak.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <vector>

#include "kernels/isa.hpp"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/machine_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace namm::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kChains = 12;  // independent sums: latency 4 x 2 units, and some to spare; 16 registers hold them

/// Returns the operations done; `out` gets what they came to.
double FmaLoop(std::size_t rounds, float start, float* out) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.999f + start), term = hn::Set(d, start);
  hn::Vec<hn::ScalableTag<float>> sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = hn::Set(d, start * static_cast<float>(i));
  for (std::size_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], factor, term);
  auto sum = sums[0];
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, sums[i]);
  *out = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * static_cast<double>(rounds) * kChains * static_cast<double>(hn::Lanes(d));
}

std::uint32_t ReadAll(const std::uint32_t* HWY_RESTRICT data, std::size_t count) {
  const hn::ScalableTag<std::uint32_t> d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<hn::ScalableTag<std::uint32_t>> sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes)
    for (std::size_t k = 0; k < 4; ++k) sums[k] = hn::Xor(sums[k], hn::LoadU(d, data + i + k * lanes));
  std::uint32_t rest = 0;
  for (; i < count; ++i) rest ^= data[i];
  return rest ^ hn::GetLane(hn::Xor(hn::Xor(sums[0], sums[1]), hn::Xor(sums[2], sums[3])));
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace namm::kernels {
namespace {

HWY_EXPORT(FmaLoop);
HWY_EXPORT(ReadAll);

constexpr int kTries = 5;
std::atomic<double> keeps_the_compiler_honest;

/// Time that this thread computed: what else the machine does is not counted.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double measure_fma_rate([[maybe_unused]] int threads) {
  isa_name();  // applies NAMM_ISA
  double best = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    double rate = 0, sum = 0;
    volatile float start_value = 1e-6f;
#pragma omp parallel num_threads(threads) reduction(+ : rate, sum)
    {
      float out = 0;
      const double start = thread_seconds();
      const double operations = HWY_DYNAMIC_DISPATCH(FmaLoop)(1500000, start_value, &out);
      rate += operations / (thread_seconds() - start);
      sum += out;
    }
    keeps_the_compiler_honest = sum;
    best = std::max(best, rate);
  }
  return best;
}

unsigned read_all(const void* data, std::size_t bytes) {
  return HWY_DYNAMIC_DISPATCH(ReadAll)(static_cast<const std::uint32_t*>(data), bytes / 4);
}

double measure_read_rate(int threads) {
  isa_name();
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const std::vector<std::uint32_t> memory(kBytes / 4, 1);
  const std::size_t share = memory.size() / static_cast<std::size_t>(threads);
  double best = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    unsigned sum = 0;
    double rate = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(^ : sum) reduction(+ : rate)
    for (int t = 0; t < threads; ++t) {
      const double start = thread_seconds();
      sum ^= read_all(memory.data() + static_cast<std::size_t>(t) * share, share * 4);
      rate += static_cast<double>(share) * 4 / (thread_seconds() - start);
    }
    keeps_the_compiler_honest = sum;
    best = std::max(best, rate);
  }
  return best;
}

}  // namespace namm::kernels
#endif
