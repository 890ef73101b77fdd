// The spectrogram from given probabilities and a whole update of the memory from them.
#include <omp.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>

#include "bench/cases.hpp"
#include "core/features/feature_set.hpp"
#include "kernels/machine_peak.hpp"
#include "kernels/spectrogram.hpp"
#include "namm/cache_policy.hpp"
#include "namm/policy.hpp"

namespace namm::bench {
namespace {

constexpr int kGroup = 3;    // query heads per KV head
constexpr int kKvHeads = 3;  // per layer: SmolLM2-135M
constexpr float kDecay = 0.85f;

/// Probabilities of every query head and what is carried from update to update.
struct Probabilities {
  std::size_t layers, rows, tokens;
  std::vector<float> values;  // [layer][query head][row][token]
  struct Head {
    std::vector<float> left, ema;
  };
  std::vector<Head> heads;

  Probabilities(std::size_t l, std::size_t r, std::size_t t) : layers(l), rows(r), tokens(t) {
    values.resize(layers * kKvHeads * kGroup * rows * tokens);
    std::uint32_t state = 1;
    for (float& x : values) {
      state = state * 1664525u + 1013904223u;
      x = static_cast<float>(state >> 8) * 0x1p-24f / static_cast<float>(tokens);
    }
    heads.resize(layers * kKvHeads);
    for (Head& head : heads) {
      head.left.resize(16 * tokens);
      head.ema.resize(17 * tokens);
    }
  }
  double bytes() const { return static_cast<double>(values.size() * sizeof(float)); }
  /// 32-point real transforms: windows, butterflies, magnitudes and averages, about.
  double flops() const { return static_cast<double>(heads.size() * (rows / 16) * tokens) * 330; }

  void read(int threads) const {
    const auto parts = static_cast<std::ptrdiff_t>(heads.size());
    const std::size_t part = values.size() / heads.size();
    unsigned sum = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(^ : sum)
    for (std::ptrdiff_t i = 0; i < parts; ++i)
      sum ^= kernels::read_all(values.data() + static_cast<std::size_t>(i) * part, part * sizeof(float));
    volatile unsigned sink = sum;
    static_cast<void>(sink);
  }
  void spectrogram(int threads) {
    const auto count = static_cast<std::ptrdiff_t>(heads.size());
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      const auto h = static_cast<std::size_t>(i);
      const float* sources[kGroup];
      for (std::size_t g = 0; g < kGroup; ++g) sources[g] = values.data() + (h * kGroup + g) * rows * tokens;
      kernels::spectrogram_probabilities(sources, kGroup, tokens, rows, tokens, heads[h].left.data(), heads[h].ema.data(),
                                         kDecay);
    }
  }
};

std::string shape_of(const Probabilities& p) {
  char text[120];
  std::snprintf(text, sizeof text, "%zu layers x %d KV heads x %zu tokens x %zu rows of %d query heads", p.layers, kKvHeads,
                p.tokens, p.rows, kKvHeads * kGroup);
  return text;
}

/// The update behind the rows: features, BAM scores of every head, selection.
struct Update {
  std::shared_ptr<Probabilities> from;
  std::unique_ptr<Policy> policy;
  std::vector<std::int32_t> positions;
  SelectionSettings selection;

  explicit Update(std::shared_ptr<Probabilities> p) : from(std::move(p)), policy(make_policy("namm")) {
    std::mt19937 rng(3);
    std::normal_distribution<float> normal(0, 0.1f);
    std::vector<float> weights(policy->parameter_count());
    for (float& w : weights) w = normal(rng);
    policy->set_parameters(weights);
    for (std::size_t i = 0; i < from->tokens; ++i) positions.push_back(static_cast<std::int32_t>(i));
  }
  void score_and_select(int threads) const {
    std::vector<HeadTokens> heads(from->heads.size());
    for (std::size_t h = 0; h < heads.size(); ++h) {
      heads[h].layer = static_cast<int>(h) / kKvHeads;
      heads[h].kv_head = static_cast<int>(h) % kKvHeads;
      heads[h].tokens_seen = static_cast<std::int64_t>(from->tokens);
      heads[h].positions = positions;
      heads[h].spectrogram = from->heads[h].ema;
    }
    omp_set_num_threads(threads);
    plan_update(*policy, selection, heads, static_cast<std::int64_t>(from->tokens / 4));
  }
};

}  // namespace

std::vector<BenchCase> bench_spectrogram(const BenchSettings& settings) {
  const auto p = settings.small ? std::make_shared<Probabilities>(1, 32, 100) : std::make_shared<Probabilities>(8, 512, 1024);
  const int threads = settings.threads;
  return {{"spectrogram",
           shape_of(*p),
           {{"reading the rows", [p, threads] { p->read(threads); }, p->bytes(), 0, {}},
            {"spectrogram from probabilities", [p, threads] { p->spectrogram(threads); }, p->bytes(), p->flops(), {}}}}};
}

std::vector<BenchCase> bench_update(const BenchSettings& settings) {
  const auto p = settings.small ? std::make_shared<Probabilities>(2, 32, 100) : std::make_shared<Probabilities>(30, 512, 1024);
  const auto update = std::make_shared<Update>(p);
  const int threads = settings.threads;
  const double pairs = static_cast<double>(p->heads.size()) * static_cast<double>(p->tokens * (p->tokens + 1) / 2);
  return {{"update",
           shape_of(*p),
           {{"reading the rows", [p, threads] { p->read(threads); }, p->bytes(), 0, {}},
            {"spectrogram", [p, threads] { p->spectrogram(threads); }, p->bytes(), p->flops(), {}},
            {"features, BAM, selection", [update, threads] { update->score_and_select(threads); }, 0, 128 * pairs, {}},
            {"whole update",
             [p, update, threads] {
               p->spectrogram(threads);
               update->score_and_select(threads);
             },
             p->bytes(),
             p->flops() + 128 * pairs,
             {}}}}};
}

}  // namespace namm::bench
