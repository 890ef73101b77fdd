#pragma once
#include <cstddef>

#include "kernels/ragged_attention.hpp"

namespace namm::kernels {

/// Attention of one batch over the lists of one layer on a CUDA device; built with NAMM_WITH_CUDA. All pointers are device
/// memory.
struct RaggedAttentionCuda {
  const RaggedHead* heads = nullptr;  ///< [kv_heads], their pointers device memory, too; value_size even, at most 256
  int kv_heads = 0;
  const float* rows = nullptr;  ///< [kv_heads][queries * group][key_size], row = query * group + query head, scaled
  int queries = 0;
  int group = 1;
  float softcap = 0;
  const float* sinks = nullptr;  ///< [kv_heads * group] or null
  std::size_t key_size = 0, value_size = 0;
  int parts = 1;               ///< each list is split into as many (decode: enough to fill the device; prefill: 1)
  float* workspace = nullptr;  ///< ragged_attention_workspace() floats
  float* output = nullptr;     ///< [kv_heads][queries * group][value_size]; a row that sees nothing gives zeros
  float* log_sums = nullptr;   ///< [kv_heads][queries * group], for the statistics
};

/// Floats of workspace.
std::size_t ragged_attention_workspace(const RaggedAttentionCuda& call);

/// Two kernels on `stream` (a cudaStream_t); does not wait. Throws std::invalid_argument for sizes it does not take,
/// std::runtime_error if a launch fails.
void ragged_attention_cuda(const RaggedAttentionCuda& call, void* stream);

/// Statistics of one hop (at most 16 queries) of one KV head; what is null is not computed. Device memory.
struct HopStatistics {
  float* accumulated = nullptr;  ///< [count] += sum over the queries of the group's mean probability
  float* last_row = nullptr;     ///< [count] = the mean of the newest query
  float* ema = nullptr;          ///< [count][17], only for hops of 16 queries
  float* left = nullptr;         ///< [16][left_stride], means of the hop before; replaced. Needed for ema
  std::size_t left_stride = 0;
};

/// A second sweep over the keys with the known log-sums: probabilities are formed in registers, averaged over the group, and go
/// into the statistics; no matrix of them is held anywhere. `call` as it was for ragged_attention_cuda(); the hop's first query
/// is `first_query`. statistics: [kv_heads], device memory; table: spectrogram_table(), device memory; decay = gamma^16.
void ragged_statistics_cuda(const RaggedAttentionCuda& call, int first_query, int hop_queries, const HopStatistics* statistics,
                            std::size_t longest, const float* table, float decay, void* stream);

}  // namespace namm::kernels
