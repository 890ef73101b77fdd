#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "adapters/llama_cpp/store/cache_store.hpp"

struct ggml_tensor;

namespace namm::llama {

/// While it lives, on this thread: rows that the runtime copies out of or into cache tensors of ours, which are empty, are noted
/// and not copied. So the cells of a saved or restored state are learnt from ggml's own interface, and the tensors stay
/// untouched.
///
///     RowTrace trace;
///     llama_state_seq_get_data(context, buffer, size, sequence);
///     store.save(writer, trace.rows(), names);
class RowTrace {
 public:
  RowTrace();
  ~RowTrace();
  RowTrace(const RowTrace&) = delete;
  RowTrace& operator=(const RowTrace&) = delete;

  /// The rows of one layer's keys of each cache and stream, in the order of the copies.
  const std::vector<SavedRows>& rows() const { return rows_; }
  /// Where copies went to or came from: bytes of the caller's buffer, in the order of the copies.
  const std::vector<std::span<const std::byte>>& copies() const { return copies_; }

 private:
  friend void note_rows(const ggml_tensor* tensor, std::size_t offset, const void* data, std::size_t size, const void* group);
  std::vector<SavedRows> rows_;
  std::vector<const ggml_tensor*> first_;  // the tensor that rows_[i] was noted from
  std::vector<std::span<const std::byte>> copies_;
};

/// Notes a copy of rows of a tensor of the cache `group`, out of or into `data`, for the trace on this thread. False if there is
/// none.
bool note_if_traced(const ggml_tensor* tensor, std::size_t offset, const void* data, std::size_t size, const void* group);

/// From now on copies of this tensor's rows are seen by a RowTrace. Outside of one they read zeros, and an error is logged.
void watch_rows(const ggml_tensor* cache);

}  // namespace namm::llama
