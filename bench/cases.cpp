#include "bench/cases.hpp"

namespace namm::bench {
namespace {

constexpr BenchKernel kKernels[] = {
    {"attention-prefill", "ragged attention of 512 queries over 4,096 tokens beside ggml's flash attention", bench_prefill},
    {"attention-decode", "ragged attention of one query over 8,192 tokens beside ggml's flash attention", bench_decode},
    {"spectrogram", "statistics from given probabilities beside reading them", bench_spectrogram},
    {"bam", "scores of the paper's network", bench_bam},
    {"key-probe", "scores read from keys, of every type of cache", bench_key_probe},
    {"compaction", "dropping entries and giving their memory back", bench_compaction},
    {"update", "statistics, features, scores and selection of a whole model", bench_update},
};

}  // namespace

std::span<const BenchKernel> bench_kernels() {
  return kKernels;
}

}  // namespace namm::bench
