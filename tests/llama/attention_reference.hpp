#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

struct ggml_tensor;

namespace namm::test {

/// Computes every attention node of a context once more, in double, from what llama.cpp itself has: the queries (src[0] of the
/// node), its mask, and the keys and values as they were written to the cache, rounded to F16. Nothing is asked of our store.
/// Install as evaluation callback (llama_context_params.cb_eval).
class AttentionReference {
 public:
  static bool callback(ggml_tensor* node, bool ask, void* self);

  /// Entries that are treated as masked: (layer, KV head, cell). Null: none.
  std::function<bool(int, int, std::int64_t)> hidden;
  /// Writes the double result into the node's output, so that the rest of the model goes on from it.
  bool replace = false;
  /// With `replace`: changes each number by this share of itself, up or down in turn; shows what a rounding error grows to.
  double nudge = 0;

  int nodes = 0;              ///< compared so far
  double worst = 0;           ///< largest |node - double| of one number
  double worst_relative = 0;  ///< the same over the largest number of its node
  double mean_square = 0;     ///< sum over nodes of mean square (node - double) / mean square double
  std::map<int, double> worst_of_layer;
  double relative_rms() const;

 private:
  struct LayerCache {
    std::vector<float> keys, values;  // [cell][width], as rounded
    std::size_t key_width = 0, value_width = 0;
  };
  void on_write(const ggml_tensor* node);
  void on_attention(ggml_tensor* node);
  std::map<int, LayerCache> layers_;
};

}  // namespace namm::test
