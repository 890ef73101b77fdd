#include "adapters/llama_cpp/device/support.hpp"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "adapters/llama_cpp/device/attention_nodes.hpp"
#include "adapters/llama_cpp/device/layer_nodes.hpp"
#include "adapters/llama_cpp/device/spectrogram_nodes.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {
namespace {

constexpr std::int64_t kSlots = 256;

/// Tensors without data, as large as those of a small cache.
class Trial {
 public:
  Trial(ggml_backend_buffer_type_t type, const RowTypes& numbers, const ggml_tensor* attention)
      : type_(type),
        attention_(attention),
        queries_(attention->src[0]->ne[1] * attention->src[0]->ne[3]),
        heads_(attention->src[1]->ne[2]),
        context_(make_context(4 * tensors_of_layer(attention) + attention_tensors(attention, queries_, tile()) +
                              spectrogram_tensors(attention, 4, 2))),
        keys_(ggml_new_tensor_3d(context_.get(), numbers.keys, attention->src[1]->ne[0], kSlots, heads_)),
        values_(ggml_new_tensor_3d(context_.get(), numbers.values, attention->src[2]->ne[0], kSlots, heads_)) {}

  std::string holding() {
    std::string why = why_not({of_kind(MaskKind::uploaded), of_kind(MaskKind::gathered)});
    ggml_tensor* const ids = tensor(GGML_TYPE_I32, {kSlots, heads_});
    for (const ggml_tensor* const rows : {keys_, values_})
      if (why.empty() && !moved_as_words(type_, rows))
        why = why_not({with_sources(gathered_rows(context_.get(), rows, rows, ids, false))});
    return why;
  }
  std::string statistics() {
    const std::int64_t rows = std::min<std::int64_t>(queries_, 16), query_heads = attention_->src[0]->ne[2];
    const AttentionTensors wanted{attention_,
                                  keys_,
                                  mask(),
                                  sinks(),
                                  kSlots,
                                  tile(),
                                  tensor(GGML_TYPE_F32, {kSlots, heads_}),
                                  tensor(GGML_TYPE_F32, {kSlots, rows, heads_}),
                                  rows < queries_ ? tensor(GGML_TYPE_I32, {rows, query_heads}) : nullptr,
                                  tensor(GGML_TYPE_I32, {rows, 1, heads_})};
    return why_not({make_attention_nodes(context_.get(), wanted, [](ggml_tensor*, Room) {})});
  }
  std::string spectrogram() {
    constexpr std::int64_t kHops = 4, kTile = 2;
    const std::int64_t query_heads = attention_->src[0]->ne[2];
    AttentionTensors wanted{attention_, keys_, mask(), sinks(), kSlots};
    wanted.basis = tensor(GGML_TYPE_F32, {kHop, static_cast<std::int64_t>(spectrogram_basis().size()) / kHop});
    wanted.frames.push_back(
        {kHops, kTile, tensor(GGML_TYPE_I32, {kHops * kHop, query_heads}), tensor(GGML_TYPE_I32, {kHops * kHop, 1, heads_}),
         tensor(GGML_TYPE_F32, {weights_apart(kTile), kHops / kTile}), tensor(GGML_TYPE_F32, {kBins, kSlots, heads_})});
    return why_not({make_attention_nodes(context_.get(), wanted, [](ggml_tensor*, Room) {})});
  }
  std::string norms() {
    for (ggml_tensor* const rows : {keys_, values_}) {
      ggml_tensor* const numbers = ggml_cpy(context_.get(), rows, tensor(GGML_TYPE_F32, {rows->ne[0], kSlots, heads_}));
      ggml_tensor* const squares = ggml_sqr(context_.get(), numbers);
      if (std::string why = why_not({{numbers, squares, ggml_sum_rows(context_.get(), squares)}}); !why.empty()) return why;
    }
    return {};
  }

 private:
  std::int64_t tile() const { return attention_tile(queries_, kSlots, attention_->src[0]->ne[2]); }
  ggml_tensor* tensor(ggml_type type, std::initializer_list<std::int64_t> shape) {
    return ggml_new_tensor(context_.get(), type, static_cast<int>(shape.size()), shape.begin());
  }
  ggml_tensor* mask() { return tensor(GGML_TYPE_F16, {kSlots, queries_, 1, heads_}); }

  ggml_tensor* sinks() {
    return sinks_apart(context_.get(), attention_, heads_, [](ggml_tensor*, Room) {});
  }

  std::vector<ggml_tensor*> of_kind(MaskKind kind) {
    LayerTensors in;
    in.key_rows = tensor(GGML_TYPE_F32, {keys_->ne[0] * heads_, queries_});
    in.value_rows = tensor(GGML_TYPE_F32, {values_->ne[0] * heads_, queries_});
    in.attention = attention_;
    in.keys = keys_;
    in.values = values_;
    in.slots = tensor(GGML_TYPE_I64, {queries_, heads_});
    in.kind = kind;
    in.slot_count = kSlots;
    in.masks = heads_;
    in.mask = mask();
    const ggml_tensor* const runtimes = attention_->src[3];
    in.columns = tensor(GGML_TYPE_F16, {queries_, runtimes->ne[0] * runtimes->ne[3] + 1});
    in.cells = tensor(GGML_TYPE_I32, {kSlots * heads_});
    const LayerNodes nodes = make_nodes(
        context_.get(), in, [](ggml_tensor*, Room) {}, [](const ggml_tensor*) { return false; });
    std::vector<ggml_tensor*> out = {nodes.write_keys, nodes.write_values, nodes.sinks, nodes.gather, nodes.halve, nodes.turn};
    out.insert(out.end(), nodes.attend.begin(), nodes.attend.end());
    if (kind == MaskKind::gathered && runtimes->ne[3] == 1) out.push_back(turn_mask(context_.get(), runtimes, in.columns));
    std::erase(out, nullptr);
    return out;
  }
  static std::vector<ggml_tensor*> with_sources(ggml_tensor* node) { return {node->src[0], node}; }

  std::string why_not(const std::vector<std::vector<ggml_tensor*>>& lists) const {
    for (const auto& nodes : lists)
      for (const ggml_tensor* const node : nodes)
        if (std::string why = why_not_computed(ggml_backend_buft_get_device(type_), node); !why.empty()) return why;
    return {};
  }

  ggml_backend_buffer_type_t type_;
  const ggml_tensor* attention_;
  std::int64_t queries_, heads_;
  GgmlContext context_;
  ggml_tensor *keys_, *values_;
};

}  // namespace

std::string why_not_computed(ggml_backend_dev_t device, const ggml_tensor* node) {
  if (ggml_backend_dev_supports_op(device, node)) return {};
  std::string out =
      std::string("device ").append(ggml_backend_dev_name(device)).append(" cannot compute ").append(ggml_op_desc(node));
  const char* sep = " of ";
  for (const ggml_tensor* const source : node->src) {
    if (!source) continue;
    out.append(sep).append(ggml_type_name(source->type));
    sep = ", ";
  }
  return out.append(" into ").append(ggml_type_name(node->type)).append(" as a policy needs it");
}

LayerSupport support_of_layer(ggml_backend_buffer_type_t type, const RowTypes& numbers, const ggml_tensor* attention) {
  Trial trial(type, numbers, attention);
  return {trial.holding(), trial.statistics(), trial.spectrogram(), trial.norms()};
}

}  // namespace namm::llama
