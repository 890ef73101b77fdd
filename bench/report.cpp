#include "bench/report.hpp"

#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/format.hpp"
#include "base/version.hpp"
#include "kernels/isa.hpp"

namespace namm::bench {
namespace {

[[gnu::format(printf, 1, 2)]] std::string print(const char* format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string share(double part, double whole) {
  return part > 0 && whole > 0 ? print("%4.0f %%", 100 * part / whole) : "     -";
}

nlohmann::ordered_json to_json(const ModelBench& bench) {
  nlohmann::ordered_json out = {{"model", bench.model},
                                {"policy", bench.policy},
                                {"budget", bench.budget},
                                {"threads", bench.threads},
                                {"decode_tokens", bench.decode_tokens},
                                {"runs", nlohmann::json::array()}};
  for (const ModelRun& run : bench.runs)
    out["runs"].push_back({{"name", run.name},
                           {"length_tokens", run.length_tokens},
                           {"prefill_tokens_per_second", run.prefill_rate},
                           {"decode_tokens_per_second", run.decode_rate},
                           {"prefill_ratio", run.prefill_ratio},
                           {"decode_ratio", run.decode_ratio},
                           {"peak_rss_bytes", run.peak_rss_bytes},
                           {"kv_bytes", run.kv_bytes}});
  return out;
}

}  // namespace

nlohmann::ordered_json to_json(const BenchResults& results) {
  nlohmann::ordered_json out = {
      {"version", version()},
      {"commit", commit()},
      {"llama", llama_version()},
      {"machine", {{"processor", processor()}, {"cores", std::thread::hardware_concurrency()}, {"isa", kernels::isa_name()}}},
      {"threads", results.threads},
      {"repetitions", results.repetitions},
      {"clock", results.clock == BenchClock::wall ? "wall" : "processor"},
      {"small", results.small},
      {"peaks", {{"flops_per_second", results.peaks.flops_per_second}, {"bytes_per_second", results.peaks.bytes_per_second}}},
      {"kernels", nlohmann::ordered_json::array()},
      {"models", nlohmann::ordered_json::array()}};
  for (std::size_t c = 0; c < results.cases.size(); ++c) {
    nlohmann::ordered_json one = {
        {"kernel", results.cases[c].kernel}, {"shape", results.cases[c].shape}, {"variants", nlohmann::ordered_json::array()}};
    for (std::size_t v = 0; v < results.cases[c].variants.size(); ++v) {
      const BenchVariant& variant = results.cases[c].variants[v];
      const BenchTiming& timing = results.timings[c][v];
      one["variants"].push_back({{"name", variant.name},
                                 {"seconds_min", timing.minimum},
                                 {"seconds_median", timing.median},
                                 {"ratio", timing.ratio},
                                 {"bytes", variant.bytes},
                                 {"flops", variant.flops},
                                 {"bytes_per_second", variant.bytes / timing.median},
                                 {"flops_per_second", variant.flops / timing.median},
                                 {"share_of_read_peak", variant.bytes / timing.median / results.peaks.bytes_per_second},
                                 {"share_of_fma_peak", variant.flops / timing.median / results.peaks.flops_per_second}});
    }
    out["kernels"].push_back(std::move(one));
  }
  for (const ModelBench& bench : results.models) out["models"].push_back(to_json(bench));
  return out;
}

std::string peaks_line(const BenchPeaks& peaks, int threads) {
  return print("%s, %s, %d thread%s: %.0f Gflop/s fused multiply-add, %.1f GB/s read from memory\n", processor().c_str(),
               kernels::isa_name().c_str(), threads, threads == 1 ? "" : "s", peaks.flops_per_second / 1e9,
               peaks.bytes_per_second / 1e9);
}

std::string case_table(const BenchCase& work, const std::vector<BenchTiming>& timings, const BenchPeaks& peaks) {
  std::string out = print("\n%s: %s\n", work.kernel.c_str(), work.shape.c_str());
  out += print("  %-36s %10s %10s %7s %9s %6s %9s %6s\n", "", "median ms", "least ms", "ratio", "GB/s", "of max", "Gflop/s",
               "of max");
  for (std::size_t v = 0; v < work.variants.size(); ++v) {
    const double bytes = work.variants[v].bytes / timings[v].median, flops = work.variants[v].flops / timings[v].median;
    out += print("  %-36s %10.3f %10.3f %7.3f %9.2f %s %9.2f %s\n", work.variants[v].name.c_str(), timings[v].median * 1e3,
                 timings[v].minimum * 1e3, timings[v].ratio, bytes / 1e9, share(bytes, peaks.bytes_per_second).c_str(),
                 flops / 1e9, share(flops, peaks.flops_per_second).c_str());
  }
  return out;
}

std::string model_table(const ModelBench& bench) {
  std::string out = print("\n%s, policy %s at %s, %d thread%s, %d tokens decoded\n", bench.model.c_str(), bench.policy.c_str(),
                          bench.budget.c_str(), bench.threads, bench.threads == 1 ? "" : "s", bench.decode_tokens);
  out += print("  %-28s %8s %14s %7s %14s %7s %11s %11s\n", "", "tokens", "prefill tok/s", "ratio", "decode tok/s", "ratio",
               "peak RSS", "KV");
  for (const ModelRun& run : bench.runs)
    out +=
        print("  %-28s %8zu %14.1f %7.3f %14.2f %7.3f %11s %11s\n", run.name.c_str(), run.length_tokens, run.prefill_rate,
              run.prefill_ratio, run.decode_rate, run.decode_ratio, format_bytes(static_cast<double>(run.peak_rss_bytes)).c_str(),
              run.kv_bytes > 0 ? format_bytes(static_cast<double>(run.kv_bytes)).c_str() : "-");
  return out;
}

}  // namespace namm::bench
