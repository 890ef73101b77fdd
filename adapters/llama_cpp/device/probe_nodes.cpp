#include "adapters/llama_cpp/device/probe_nodes.hpp"

#include "adapters/llama_cpp/device/placed_nodes.hpp"
#include "adapters/llama_cpp/version/nodes.hpp"

namespace namm::llama {
namespace {

/// Makes the nodes of one part (keys or values); tensors of one layer share rooms with those of others.
class PartNodes : public PlacedNodes {
 public:
  using PlacedNodes::PlacedNodes;

  /// [1, tokens, heads] or [heads, tokens]: products of the rows and of their squares, added up, in `room`.
  ggml_tensor* products(const ProbeTensors::Part& part, ggml_tensor* rows, Room room) {
    ggml_tensor* const sum = placed(ggml_mul_mat(context_, part.weights, rows), room);
    if (!part.centre) return sum;
    ggml_tensor* const squares = placed(ggml_sub(context_, rows, part.centre), Room::squares);
    ggml_tensor* const scaled = done(ggml_mul_inplace(context_, squares, part.scale));
    ggml_tensor* const raised = done(ggml_sqr_inplace(context_, scaled));
    ggml_tensor* const bounded = done(clamp_in_place(context_, raised, 0, SquareScale::kLargestSquare));
    ggml_tensor* const more = placed(ggml_mul_mat(context_, part.square_weights, bounded), Room::square_scores);
    return done(ggml_add_inplace(context_, sum, more));
  }
};

}  // namespace

ProbeNodes make_probe_nodes(ggml_context* context, const ProbeTensors& probe, const ggml_tensor* plain,
                            const ggml_tensor* value_rows, const ggml_tensor* content, ggml_tensor* slots,
                            const std::function<void(ggml_tensor*, Room)>& place) {
  const std::int64_t tokens = slots->ne[0], heads = content->ne[2], size = ggml_nelements(plain) / (tokens * heads);
  const bool by_head = plain->ne[0] == size && (heads > 1 || plain->ne[2] == tokens);  // else a token's heads are one row
  const std::size_t head_stride = by_head ? plain->nb[1] : static_cast<std::size_t>(size) * sizeof(float);
  const std::size_t token_stride = by_head ? plain->nb[2] : plain->nb[1];
  ProbeNodes out;
  PartNodes with_keys(context, out.with_keys, place), with_values(context, out.with_values, place),
      last(context, out.last, place);

  ggml_tensor* scores = nullptr;  // [1, tokens, heads]
  if (probe.reads_layer()) {
    ggml_tensor* rows = alias_as(
        context, plain, {size * heads, tokens, 1, 1},
        {token_stride, token_stride * static_cast<std::size_t>(tokens), token_stride * static_cast<std::size_t>(tokens)});
    if (head_stride != static_cast<std::size_t>(size) * sizeof(float))  // other numbers lie between heads
      rows = settled(ggml_reshape_2d(context, with_keys.placed(ggml_cont(context, alias_of(context, plain)), Room::plain),
                                     size * heads, tokens));
    ggml_tensor* const of_keys = with_keys.products(probe.keys(), rows, Room::key_scores);
    ggml_tensor* const of_values = with_values.products(probe.values(), alias_of(context, value_rows), Room::value_scores);
    ggml_tensor* const sum = last.done(ggml_add_inplace(context, of_keys, of_values));
    const std::size_t row = sum->nb[1];
    scores = settled(ggml_view_3d(context, sum, 1, tokens, heads, row, sizeof(float), 0));
  } else {
    ggml_tensor* const rows = alias_as(context, plain, {size, tokens, heads, 1},
                                       {token_stride, head_stride, token_stride * static_cast<std::size_t>(tokens)});
    scores = with_keys.products(probe.keys(), rows, Room::key_scores);
  }
  last.done(ggml_set_rows(context, alias_of(context, content), scores, slots));
  for (const auto* const nodes : {&out.with_keys, &out.with_values, &out.last})
    for (ggml_tensor* const node : *nodes) node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return out;
}

}  // namespace namm::llama
