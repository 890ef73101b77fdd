#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

struct ggml_tensor;

namespace namm::llama {

/// One layer of the runtime's own KV cache: cells side by side, a key and a value of every KV head in each.
///
///     keys                cell 0 [head 0 | head 1 | ..]  cell 1 [head 0 | head 1 | ..]  ...
///     values              the same with flash attention; without it transposed: number (head, d) of all cells side by side
struct StockLayer {
  int layer = 0;  ///< index in the model
  int kv_heads = 0;
  std::size_t key_size = 0, value_size = 0;  ///< numbers per head
  ggml_tensor* keys = nullptr;               ///< live as long as the context
  ggml_tensor* values = nullptr;
  bool values_transposed = false;
};

/// Learns where the cache lies, and whether its rows can be moved, from the nodes of one graph: names and shapes of tensors that
/// ggml makes public, no structure of llama.cpp.
class CacheLayout {
 public:
  /// Every node of the graph, in order.
  void learn(ggml_tensor* node);
  /// After the last node. Throws std::runtime_error that says what the graph does that compaction cannot follow, and what would
  /// work.
  void finish();

  /// Ascending by index in the model.
  const std::vector<StockLayer>& layers() const { return layers_; }
  bool flash_attention() const { return flash_attention_; }
  std::size_t cells() const;
  /// The layer that keys are written to first; the batch's cells are read there.
  const ggml_tensor* first_keys() const { return first_keys_; }

  /// What a node does; `layer` is an index into layers().
  enum class Role { none, writes_keys, writes_values, attends };
  struct Part {
    Role role = Role::none;
    std::size_t layer = 0;
  };
  Part part_of(const ggml_tensor* node) const;

 private:
  struct Seen {
    StockLayer layer;
    int attended = 0;
  };
  void learn_write(ggml_tensor* node);
  void learn_keys_read(const ggml_tensor* keys, float position_bias);
  void learn_values_read(const ggml_tensor* values, std::size_t value_size, int kv_heads);

  std::map<int, Seen> seen_;
  std::vector<StockLayer> layers_;
  std::map<const ggml_tensor*, std::size_t> by_tensor_;
  const ggml_tensor* first_keys_ = nullptr;
  bool flash_attention_ = false;
  std::string problem_;
};

}  // namespace namm::llama
