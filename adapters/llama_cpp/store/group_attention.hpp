#pragma once
#include <cstddef>
#include <span>

#include "adapters/llama_cpp/store/batch_plan.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "adapters/llama_cpp/store/head_list.hpp"
#include "namm/observer.hpp"

namespace namm::llama {

/// Who sees the rows of attention besides the statistics.
struct Recording {
  int layer = 0;
  Observer* observer = nullptr;  ///< null: nobody
};

/// True if there are so few queries that their rows of attention are given to HeadList::observe_later(); else they would take
/// more memory than a copy of the statistics.
bool rows_wait(const QueryGroup& group);

/// Attention of one sequence's queries in one layer over its lists (one per KV head), which are open and already hold the batch's
/// own tokens. Writes the outputs of the group's queries and feeds the statistics. `stream` is the index within the call. Work is
/// split by shape alone, so the numbers do not depend on call.threads.
void attend_group(std::span<HeadList> heads, const QueryGroup& group, const AttentionCall& call, int stream,
                  const Recording& recording = {});

}  // namespace namm::llama
