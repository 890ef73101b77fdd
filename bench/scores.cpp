// BAM scores and key-probe scores.
#include <cstdio>
#include <memory>
#include <random>

#include "bench/cases.hpp"
#include "core/features/feature_set.hpp"
#include "kernels/bam.hpp"
#include "kernels/half.hpp"
#include "kernels/key_probe.hpp"
#include "kernels/machine_peak.hpp"

namespace namm::bench {
namespace {

std::vector<float> draw(std::size_t count, unsigned seed, float deviation) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(count);
  for (float& x : out) x = normal(rng);
  return out;
}

/// `lists` lists of features under `candidates` parameter vectors each.
struct BamWork {
  std::size_t tokens;
  std::vector<float> features, parameters, scores;
  std::vector<kernels::BamProblem> problems;

  BamWork(std::size_t lists, std::size_t candidates, std::size_t n)
      : tokens(n),
        features(draw(lists * n * kPaperFeatures, 1, 1.0f)),
        parameters(draw(candidates * kernels::bam_parameter_count(kPaperFeatures), 2, 0.1f)),
        scores(lists * candidates * n) {
    for (std::size_t list = 0; list < lists; ++list)
      for (std::size_t c = 0; c < candidates; ++c)
        problems.push_back({features.data() + list * n * kPaperFeatures, n,
                            parameters.data() + c * kernels::bam_parameter_count(kPaperFeatures),
                            scores.data() + (list * candidates + c) * n});
  }
  double flops() const {
    const auto n = static_cast<double>(tokens), width = static_cast<double>(kPaperFeatures);
    // two products of width 32 per pair; projections to 96 numbers and back from 32
    return static_cast<double>(problems.size()) * (128 * n * (n + 1) / 2 + n * width * 2 * (96 + 64));
  }
  double bytes() const { return static_cast<double>((features.size() + parameters.size() + scores.size()) * sizeof(float)); }
};

BenchCase bam_case(std::size_t lists, std::size_t candidates, std::size_t tokens, int threads) {
  const auto work = std::make_shared<BamWork>(lists, candidates, tokens);
  char shape[100];
  std::snprintf(shape, sizeof shape, "%zu lists x %zu parameter vectors x %zu tokens of %zu features", lists, candidates, tokens,
                kPaperFeatures);
  return {"bam",
          shape,
          {{"bam scores",
            [work, threads] { kernels::bam_scores(work->problems, kPaperFeatures, threads); },
            work->bytes(),
            work->flops(),
            {}}}};
}

/// Keys and values of a layer's tokens as a probe reads them.
struct ProbeWork {
  kernels::TokenRows rows;
  std::vector<float> memory, weights, scores;
  static constexpr int kHeads = 3;

  ProbeWork(std::size_t tokens, std::size_t numbers)
      : memory(draw(tokens * numbers, 4, 1)), weights(draw(kHeads * numbers, 3, 0.1f)), scores(kHeads * tokens) {
    rows = {memory.data(), numbers, tokens, numbers};
  }
};

}  // namespace

std::vector<BenchCase> bench_bam(const BenchSettings& settings) {
  if (settings.small) return {bam_case(2, 2, 100, settings.threads)};
  return {bam_case(90, 1, 1024, settings.threads), bam_case(6, 16, 1024, settings.threads),
          bam_case(1, 1, 8192, settings.threads)};
}

std::vector<BenchCase> bench_key_probe(const BenchSettings& settings) {
  const std::size_t tokens = settings.small ? 64 : 65536, numbers = 384;
  char shape[100];
  std::snprintf(shape, sizeof shape, "%zu tokens x %zu numbers, %d heads", tokens, numbers, ProbeWork::kHeads);
  const int threads = settings.threads;
  const auto work = std::make_shared<ProbeWork>(tokens, numbers);
  const auto parts = [work, threads](auto&& body) {
    const auto count = static_cast<std::ptrdiff_t>(threads);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (std::ptrdiff_t t = 0; t < count; ++t) {
      const std::size_t begin = work->rows.count * static_cast<std::size_t>(t) / static_cast<std::size_t>(count);
      const std::size_t end = work->rows.count * static_cast<std::size_t>(t + 1) / static_cast<std::size_t>(count);
      kernels::TokenRows part = work->rows;
      part.data += begin * part.stride;
      part.count = end - begin;
      body(part, work->scores.data() + begin);
    }
  };
  const auto reading = [parts] {
    parts([](const kernels::TokenRows& rows, float*) {
      volatile unsigned sink = kernels::read_all(rows.data, rows.count * rows.stride * sizeof(float));
      static_cast<void>(sink);
    });
  };
  const auto probing = [parts, work] {
    parts([&](const kernels::TokenRows& rows, float* scores) {
      kernels::probe_rows(rows, work->weights.data(), rows.numbers, ProbeWork::kHeads, scores, work->rows.count);
    });
  };
  const auto bytes = static_cast<double>(work->memory.size() * sizeof(float));
  const double operations = 2.0 * ProbeWork::kHeads * static_cast<double>(tokens * numbers);
  return {{"key-probe", shape, {{"reading the rows", reading, bytes, 0, {}}, {"key probe", probing, bytes, operations, {}}}}};
}

}  // namespace namm::bench
