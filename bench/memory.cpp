// Eviction: dropping entries from the lists of a layer, with their statistics, and giving the memory back.
#include <cstdio>
#include <memory>

#include "adapters/llama_cpp/store/head_list.hpp"
#include "bench/cases.hpp"

namespace namm::bench {
namespace {

constexpr std::size_t kSize = 64;

struct CompactionWork {
  std::size_t heads, tokens;
  std::vector<llama::HeadList> lists;
  std::vector<std::int32_t> kept, all;
  std::vector<std::uint16_t> rows;
  StatisticsSettings statistics;

  CompactionWork(std::size_t h, std::size_t n, std::size_t every) : heads(h), tokens(n), rows(n * kSize, 0x3c00) {
    statistics.needed = Statistic::accumulated;
    for (std::size_t i = 0; i < n; ++i) all.push_back(static_cast<std::int32_t>(i));
    for (std::size_t i = 0; i < n; i += every) kept.push_back(static_cast<std::int32_t>(i));
  }
  void fill() {
    lists.clear();
    for (std::size_t h = 0; h < heads; ++h) {
      lists.emplace_back(kSize, kSize, statistics);
      lists.back().append(all, all, {rows.data(), kSize}, {rows.data(), kSize});
    }
  }
  void evict(int threads) {
    const auto count = static_cast<std::ptrdiff_t>(heads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (std::ptrdiff_t i = 0; i < count; ++i) lists[static_cast<std::size_t>(i)].keep(kept);
  }
};

}  // namespace

std::vector<BenchCase> bench_compaction(const BenchSettings& settings) {
  std::vector<BenchCase> out;
  const int threads = settings.threads;
  for (const std::size_t every : {std::size_t{4}, std::size_t{2}}) {
    const auto work =
        settings.small ? std::make_shared<CompactionWork>(2, 100, every) : std::make_shared<CompactionWork>(90, 2048, every);
    char shape[120];
    std::snprintf(shape, sizeof shape, "%zu lists x %zu tokens, every %zuth kept, keys and values of %zu", work->heads,
                  work->tokens, every, kSize);
    // every kept number but the first is read and written once
    const double bytes = static_cast<double>(work->heads * work->kept.size() * 2 * kSize) * 2 * 2;
    out.push_back(
        {"compaction", shape, {{"eviction", [work, threads] { work->evict(threads); }, bytes, 0, [work] { work->fill(); }}}});
  }
  return out;
}

}  // namespace namm::bench
