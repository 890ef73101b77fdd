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
  return part > 0 && whole > 0 ? print("%.0f %%", 100 * part / whole) : "-";
}

/// "0.38 [0.36, 0.41]": the median and the range; all digits are in the JSON.
std::string in_words(const std::optional<BenchRatio>& ratio) {
  if (!ratio) return "-";
  const auto short_of = [](double x) { return print("%.*f", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x); };
  return short_of(ratio->median) + " [" + short_of(ratio->lowest) + ", " + short_of(ratio->highest) + "]";
}

/// NAME and NAME_range, null where there is none.
void put(nlohmann::ordered_json& out, const std::string& name, const std::optional<BenchRatio>& ratio) {
  out[name] = ratio ? nlohmann::ordered_json(ratio->median) : nullptr;
  out[name + "_range"] = ratio ? nlohmann::ordered_json::array({ratio->lowest, ratio->highest}) : nullptr;
}

nlohmann::ordered_json to_json(const ModelBench& bench) {
  nlohmann::ordered_json out = {{"model", bench.model},
                                {"policy", bench.policy},
                                {"budget", bench.budget},
                                {"threads", bench.threads},
                                {"decode_tokens", bench.decode_tokens},
                                {"runs", nlohmann::json::array()}};
  for (const ModelRun& run : bench.runs) {
    nlohmann::ordered_json one = {{"name", run.name},
                                  {"length_tokens", run.length_tokens},
                                  {"prefill_tokens_per_second", run.prefill_rate},
                                  {"decode_tokens_per_second", run.decode_rate}};
    put(one, "prefill_ratio", run.prefill_ratio);
    put(one, "decode_ratio", run.decode_ratio);
    one["peak_rss_bytes"] = run.peak_rss_bytes;
    one["kv_bytes"] = run.kv_bytes;
    out["runs"].push_back(std::move(one));
  }
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
      nlohmann::ordered_json figures = {
          {"name", variant.name}, {"seconds_min", timing.minimum}, {"seconds_median", timing.median}};
      put(figures, "ratio", timing.ratio);
      const double bytes = variant.bytes / timing.median, flops = variant.flops / timing.median;
      figures["bytes"] = variant.bytes;
      figures["flops"] = variant.flops;
      figures["bytes_per_second"] = bytes;
      figures["flops_per_second"] = flops;
      figures["share_of_read_peak"] = bytes / results.peaks.bytes_per_second;
      figures["share_of_fma_peak"] = flops / results.peaks.flops_per_second;
      one["variants"].push_back(std::move(figures));
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

std::string ratio_note(int repetitions) {
  if (repetitions >= kLeastForRatio) return "";
  return print("no ratios: they need at least %d repetitions, these are %d; see --repetitions\n", kLeastForRatio, repetitions);
}

std::string case_table(const BenchCase& work, const std::vector<BenchTiming>& timings, const BenchPeaks& peaks) {
  std::string out = print("\n%s: %s\n", work.kernel.c_str(), work.shape.c_str());
  out += print("  %-30s %9s %9s %18s %6s %6s %7s %6s\n", "", "median ms", "least ms", "ratio [range]", "GB/s", "of max",
               "Gflop/s", "of max");
  for (std::size_t v = 0; v < work.variants.size(); ++v) {
    const double bytes = work.variants[v].bytes / timings[v].median, flops = work.variants[v].flops / timings[v].median;
    out += print("  %-30s %9.3f %9.3f %18s %6.1f %6s %7.1f %6s\n", work.variants[v].name.c_str(), timings[v].median * 1e3,
                 timings[v].minimum * 1e3, in_words(timings[v].ratio).c_str(), bytes / 1e9,
                 share(bytes, peaks.bytes_per_second).c_str(), flops / 1e9, share(flops, peaks.flops_per_second).c_str());
  }
  return out;
}

std::string model_table(const ModelBench& bench) {
  std::string out = print("\n%s, %d thread%s, %d tokens decoded", bench.model.c_str(), bench.threads,
                          bench.threads == 1 ? "" : "s", bench.decode_tokens);
  if (!bench.policy.empty()) out += print("; the policy: %s at %s", bench.policy.c_str(), bench.budget.c_str());
  out += "\nprefill and decode in tokens per second, ratios to stock with -fa on\n";
  for (std::size_t r = 0; r < bench.runs.size(); ++r) {
    const ModelRun& run = bench.runs[r];
    if (r == 0 || run.length_tokens != bench.runs[r - 1].length_tokens)
      out += print("  %-20s %8s %18s %8s %18s %10s %10s\n", print("%zu tokens", run.length_tokens).c_str(), "prefill",
                   "ratio [range]", "decode", "ratio [range]", "peak RSS", "KV");
    out += print("  %-20s %8.1f %18s %8.2f %18s %10s %10s\n", run.name.c_str(), run.prefill_rate,
                 in_words(run.prefill_ratio).c_str(), run.decode_rate, in_words(run.decode_ratio).c_str(),
                 format_bytes(static_cast<double>(run.peak_rss_bytes)).c_str(),
                 run.kv_bytes > 0 ? format_bytes(static_cast<double>(run.kv_bytes)).c_str() : "-");
  }
  return out;
}

}  // namespace namm::bench
