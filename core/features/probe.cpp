// What the probe of the policy (core/probe) says of a token and of its neighbours.
//
//   0  probe     1, 2  mean of 7, of 15 cached neighbours
#include "core/features/feature_set.hpp"
#include "core/features/neighbours.hpp"

namespace namm {

void write_probe_features(const HeadTokens& tokens, std::span<float> out, std::size_t width) {
  std::size_t feature = 0;
  for (const std::size_t neighbours : {1u, 7u, 15u})
    detail::write_neighbour_means(tokens.content, neighbours, out.data() + feature++, width);
}

}  // namespace namm
