#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/measure.hpp"
#include "bench/model.hpp"

namespace namm::bench {

/// Everything one run of `namm bench` measured.
struct BenchResults {
  int threads = 1, repetitions = 1;
  bool small = false;
  BenchClock clock = BenchClock::wall;
  BenchPeaks peaks;
  std::vector<BenchCase> cases;  ///< variants without their functions
  std::vector<std::vector<BenchTiming>> timings;
  std::vector<ModelBench> models;
};

/// {"version", "commit", "llama", "machine": {processor, cores, isa}, "threads", "repetitions", "clock", "small", "peaks",
///  "kernels": [{kernel, shape, variants: [{name, seconds_min, seconds_median, ratio, bytes, flops, ...}]}], "models": [...]}
/// Beside every ratio stands NAME_range, [lowest, highest]; both are null where the repetitions are too few for a ratio.
nlohmann::ordered_json to_json(const BenchResults& results);

std::string peaks_line(const BenchPeaks& peaks, int threads);
/// Says that there will be no ratios, and how many repetitions they need; empty where there are enough.
std::string ratio_note(int repetitions);
/// A few lines: the case, then a line per variant.
std::string case_table(const BenchCase& work, const std::vector<BenchTiming>& timings, const BenchPeaks& peaks);
std::string model_table(const ModelBench& bench);

}  // namespace namm::bench
