#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "bench/measure.hpp"

namespace namm::bench {

struct BenchSettings {
  int threads = 1;
  bool small = false;  ///< shapes that take milliseconds: to see that it runs, not to measure
};

/// A kernel of the list that `namm bench --kernel` takes.
struct BenchKernel {
  std::string_view name;
  std::string_view about;
  /// Its cases; data is filled here and lives as long as the case.
  std::vector<BenchCase> (*cases)(const BenchSettings& settings);
};

std::span<const BenchKernel> bench_kernels();

// one file per group: bench_attention.cpp, bench_statistics.cpp, bench_scores.cpp, bench_memory.cpp
std::vector<BenchCase> bench_prefill(const BenchSettings& settings);
std::vector<BenchCase> bench_decode(const BenchSettings& settings);
std::vector<BenchCase> bench_spectrogram(const BenchSettings& settings);
std::vector<BenchCase> bench_update(const BenchSettings& settings);
std::vector<BenchCase> bench_bam(const BenchSettings& settings);
std::vector<BenchCase> bench_key_probe(const BenchSettings& settings);
std::vector<BenchCase> bench_compaction(const BenchSettings& settings);

}  // namespace namm::bench
