#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "namm/content_reader.hpp"

struct ggml_backend;
struct ggml_tensor;

namespace namm::llama {

/// Takes the rotary embedding off keys that are on their way into the cache, or off queries. The runtime may reuse the memory of
/// the un-rotated key, so it is restored: the inverse rotation by ggml itself, with the parameters of the node that rotated.
/// Exact to rounding (1e-6).
class PlainKeys {
 public:
  struct Noted {
    const ggml_tensor* rotation = nullptr;  ///< null: they are not rotated
    std::string why_not;                    ///< it cannot be undone
  };
  /// The node that rotated these rows, through the views between (and a factor, which a rotation does not mind: some models scale
  /// their queries).
  static Noted rotation_of(const ggml_tensor* rows, bool queries);
  /// True if nothing says how these rows were computed: a scheduler's copy, or an input.
  static bool without_producer(const ggml_tensor* rows);

  PlainKeys();
  ~PlainKeys();
  PlainKeys(const PlainKeys&) = delete;
  PlainKeys& operator=(const PlainKeys&) = delete;
  /// What rotates the keys (queries: may be scaled behind it) of a layer, to be called when its graph is built: where weights are
  /// on another device, the runtime's scheduler then puts a copy in the place of `rows` that does not tell where it came from.
  /// Rows that do not tell are left alone.
  void note(int layer, const ggml_tensor* rows, bool queries);
  /// Why a rotation that was noted cannot be undone, with what would work; empty if each can.
  std::string why_not() const;
  /// `rows`: src[0] of the SET_ROWS node that writes keys: float [kv_heads * key_size, tokens]. Gives [tokens][kv_heads *
  /// key_size]; the rows themselves where the model does not rotate. Valid until the next call. Throws std::runtime_error if the
  /// rotation cannot be undone (several axes, keys that were changed after it, or a copy of a layer that was not noted). Layers
  /// come in ascending order, again and again: each time the tokens' positions are read with the first of them, behind which the
  /// runtime may use their memory again.
  const float* restore(const ggml_tensor* rows, int layer = -1);
  /// `queries`: src[0] of the attention node: float [key_size, tokens, heads, streams]. Gives [stream][token][heads * key_size];
  /// else as restore().
  const float* restore_queries(const ggml_tensor* queries, int layer = -1);
  /// That of what was restored last, while its node lives; null if the model does not rotate.
  const Rotation* rotation() const { return forward_.node ? &forward_ : nullptr; }

 private:
  class Forward final : public Rotation {
   public:
    explicit Forward(PlainKeys& keys) : owner(&keys) {}
    void turn(std::span<float> vectors, std::size_t per_position, std::span<const std::int32_t> positions) const override;
    PlainKeys* owner;
    const ggml_tensor* node = nullptr;
  };
  void undo(const ggml_tensor* from, int layer, std::size_t width, std::size_t tokens, bool queries);
  std::span<const std::int32_t> positions_of(const ggml_tensor* rotation, int layer, std::size_t tokens);
  /// [tokens][width] in place, as `node` does it or the other way round; one position per token.
  void turn(const ggml_tensor* node, float* data, std::size_t width, std::size_t tokens, const std::int32_t* positions,
            bool back);

  struct FreeBackend {
    void operator()(ggml_backend* backend) const;
  };
  std::unique_ptr<ggml_backend, FreeBackend> cpu_;
  std::map<int, Noted> noted_;  // by layer, of the newest graph
  std::vector<std::int32_t> positions_;
  int positions_layer_ = -1;  // that was read last with these positions
  std::vector<float> vectors_;
  std::vector<unsigned char> fetched_;  // from a device
  Forward forward_{*this};
  std::vector<unsigned char> graph_memory_;
};

}  // namespace namm::llama
