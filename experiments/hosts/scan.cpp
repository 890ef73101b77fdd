// The selective scan of a Mamba layer, forward and backward, with the time-step projection and the output gate
// fused in. Per token t, channel d and state n:
//
//   delta_t[d] = softplus(bias[d] + sum_r W[d][r] dt_t[r])
//   h_t[n][d]  = exp(delta_t[d] A[d][n]) h_{t-1}[n][d] + delta_t[d] x_t[d] B_t[n]
//   y_t[d]     = sum_n C_t[n] h_t[n][d] + D[d] x_t[d]
//   out_t[d]   = y_t[d] silu(z_t[d])
//
// which is what ggml_ssm_scan and the lines around it compute (Gu and Dao, "Mamba", 2023, algorithm 2).
// The state lies as h[n][d] so that the inner loop runs over channels and vectorises. Forward keeps the state at
// the start of every chunk of kChunk tokens; backward recomputes the chunk, so memory does not grow with d_state.
#include "rows.h"

#include <vector>

namespace hosts {
namespace {

constexpr int64_t kChunk = 16;

struct Sizes {
  int64_t batch, time, inner, state, rank;
  int64_t chunks() const { return (time + kChunk - 1) / kChunk; }
  int64_t packed() const { return rank + 2 * state; }  // columns of one packed row: dt | B | C
};

// [inner, columns] -> [columns, inner], in the compute type.
template <typename P, typename C>
std::vector<C> transposed(const P* from, int64_t inner, int64_t columns) {
  std::vector<C> to(inner * columns);
  for (int64_t d = 0; d < inner; ++d) {
    for (int64_t c = 0; c < columns; ++c) {
      to[c * inner + d] = from[d * columns + c];
    }
  }
  return to;
}

// raw[d] = bias[d] + W dt;  delta[d] = softplus(raw[d]).
template <typename C>
void time_steps(const C* dt, const C* weight_t, const C* bias, C* raw, C* delta, const Sizes& s) {
  for (int64_t d = 0; d < s.inner; ++d) {
    raw[d] = bias[d];
  }
  for (int64_t r = 0; r < s.rank; ++r) {
    const C scale = dt[r];
    const C* row = weight_t + r * s.inner;
    for (int64_t d = 0; d < s.inner; ++d) {
      raw[d] += scale * row[d];
    }
  }
  for (int64_t d = 0; d < s.inner; ++d) {
    const C v = raw[d];
    delta[d] = v > C(20) ? v : std::log(C(1) + std::exp(v));
  }
}

template <typename T, typename C>
void forward_one(const T* x, const T* z, const C* packed, const C* weight_t, const C* bias, const C* a_t, const C* skip, T* out,
                 C* saved, const Sizes& s) {
  const int64_t inner = s.inner;
  std::vector<C> h(s.state * inner, C(0)), xr(inner), zr(inner), raw(inner), delta(inner), y(inner);
  for (int64_t t = 0; t < s.time; ++t) {
    if (t % kChunk == 0) {
      std::copy(h.begin(), h.end(), saved + (t / kChunk) * s.state * inner);
    }
    const C* p = packed + t * s.packed();
    load_row(x + t * inner, xr.data(), inner);
    load_row(z + t * inner, zr.data(), inner);
    time_steps(p, weight_t, bias, raw.data(), delta.data(), s);
    for (int64_t d = 0; d < inner; ++d) {
      y[d] = skip[d] * xr[d];
    }
    for (int64_t n = 0; n < s.state; ++n) {
      const C b = p[s.rank + n], c = p[s.rank + s.state + n];
      const C* a = a_t + n * inner;
      C* hn = h.data() + n * inner;
      for (int64_t d = 0; d < inner; ++d) {
        const C v = std::exp(delta[d] * a[d]) * hn[d] + delta[d] * xr[d] * b;
        hn[d] = v;
        y[d] += c * v;
      }
    }
    for (int64_t d = 0; d < inner; ++d) {
      y[d] *= zr[d] * sigmoid(zr[d]);
    }
    store_row(y.data(), out + t * inner, inner);
  }
}

// Gradients of the parameters, summed over the tokens of one sequence; transposed like the inputs.
template <typename C>
struct ParameterGrads {
  std::vector<C> weight_t, bias, a_t, skip;
  explicit ParameterGrads(const Sizes& s) : weight_t(s.rank * s.inner), bias(s.inner), a_t(s.state * s.inner), skip(s.inner) {}
};

template <typename T, typename C>
void backward_one(const T* x, const T* z, const C* packed, const C* weight_t, const C* bias, const C* a_t, const C* skip,
                  const C* saved, const T* dout, T* dx, T* dz, C* dpacked, ParameterGrads<C>& grads, const Sizes& s) {
  const int64_t inner = s.inner, plane = s.state * inner;
  // One chunk's worth of recomputed values: decay and state before and after each token.
  std::vector<C> decay(kChunk * plane), states((kChunk + 1) * plane), raw(kChunk * inner), delta(kChunk * inner);
  std::vector<C> xs(kChunk * inner), y(inner), zr(inner), g(inner), dy(inner), dxr(inner), ddelta(inner);
  std::vector<C> dh(plane, C(0));
  for (int64_t chunk = s.chunks() - 1; chunk >= 0; --chunk) {
    const int64_t first = chunk * kChunk, count = std::min(kChunk, s.time - first);
    std::copy(saved + chunk * plane, saved + (chunk + 1) * plane, states.begin());
    for (int64_t i = 0; i < count; ++i) {
      const C* p = packed + (first + i) * s.packed();
      C* dl = delta.data() + i * inner;
      C* xr = xs.data() + i * inner;
      load_row(x + (first + i) * inner, xr, inner);
      time_steps(p, weight_t, bias, raw.data() + i * inner, dl, s);
      for (int64_t n = 0; n < s.state; ++n) {
        const C b = p[s.rank + n];
        const C* a = a_t + n * inner;
        const C* before = states.data() + i * plane + n * inner;
        C* after = states.data() + (i + 1) * plane + n * inner;
        C* e = decay.data() + i * plane + n * inner;
#pragma GCC ivdep
        for (int64_t d = 0; d < inner; ++d) {
          e[d] = std::exp(dl[d] * a[d]);
          after[d] = e[d] * before[d] + dl[d] * xr[d] * b;
        }
      }
    }
    for (int64_t i = count - 1; i >= 0; --i) {
      const int64_t t = first + i;
      const C* p = packed + t * s.packed();
      const C* dl = delta.data() + i * inner;
      const C* xr = xs.data() + i * inner;
      C* dp = dpacked + t * s.packed();
      load_row(z + t * inner, zr.data(), inner);
      load_row(dout + t * inner, g.data(), inner);
      for (int64_t d = 0; d < inner; ++d) {
        y[d] = skip[d] * xr[d];
      }
      for (int64_t n = 0; n < s.state; ++n) {
        const C c = p[s.rank + s.state + n];
        const C* after = states.data() + (i + 1) * plane + n * inner;
        for (int64_t d = 0; d < inner; ++d) {
          y[d] += c * after[d];
        }
      }
#pragma GCC ivdep
      for (int64_t d = 0; d < inner; ++d) {
        const C gate = sigmoid(zr[d]);
        dy[d] = g[d] * zr[d] * gate;
        g[d] = g[d] * y[d] * gate * (C(1) + zr[d] * (C(1) - gate));  // now the gradient of z
        dxr[d] = dy[d] * skip[d];
        ddelta[d] = C(0);
        grads.skip[d] += dy[d] * xr[d];
      }
      store_row(g.data(), dz + t * inner, inner);
      for (int64_t n = 0; n < s.state; ++n) {
        const C b = p[s.rank + n], c = p[s.rank + s.state + n];
        const C* a = a_t + n * inner;
        const C* before = states.data() + i * plane + n * inner;
        const C* after = states.data() + (i + 1) * plane + n * inner;
        const C* e = decay.data() + i * plane + n * inner;
        C* dhn = dh.data() + n * inner;
        C* da = grads.a_t.data() + n * inner;
        C sum_b = 0, sum_c = 0;
#pragma GCC ivdep  // none of the buffers overlap; with ten pointers the compiler would give up checking
        for (int64_t d = 0; d < inner; ++d) {
          const C v = dhn[d] + dy[d] * c;
          const C through = v * e[d];           // what reaches h_{t-1}
          const C slope = through * before[d];  // gradient of the exponent delta A
          sum_c += dy[d] * after[d];
          sum_b += v * dl[d] * xr[d];
          ddelta[d] += slope * a[d] + v * xr[d] * b;
          dxr[d] += v * dl[d] * b;
          da[d] += slope * dl[d];
          dhn[d] = through;
        }
        dp[s.rank + n] = sum_b;
        dp[s.rank + s.state + n] = sum_c;
      }
      store_row(dxr.data(), dx + t * inner, inner);
      for (int64_t d = 0; d < inner; ++d) {
        ddelta[d] *= sigmoid(raw[i * inner + d]);  // softplus' = sigmoid
        grads.bias[d] += ddelta[d];
      }
      for (int64_t r = 0; r < s.rank; ++r) {
        const C scale = p[r];
        const C* row = weight_t + r * inner;
        C* dw = grads.weight_t.data() + r * inner;
        C sum = 0;
#pragma GCC ivdep
        for (int64_t d = 0; d < inner; ++d) {
          sum += ddelta[d] * row[d];
          dw[d] += ddelta[d] * scale;
        }
        dp[r] = sum;
      }
    }
  }
}

Sizes sizes_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& a) {
  return {x.size(0), x.size(1), x.size(2), a.size(1), weight.size(1)};
}

}  // namespace

// x, z: [batch, time, inner] of any floating type; packed: [batch, time, rank + 2 state] (dt | B | C, normalised);
// weight: [inner, rank]; bias, skip: [inner]; a: [inner, state], negative. All but x and z in the compute type.
// Returns out [batch, time, inner] and the saved states [batch, chunks, state, inner].
std::vector<at::Tensor> scan_forward(at::Tensor x, at::Tensor z, at::Tensor packed, at::Tensor weight, at::Tensor bias,
                                     at::Tensor a, at::Tensor skip) {
  const Sizes s = sizes_of(x, weight, a);
  auto out = at::empty_like(x);
  auto saved = at::empty({s.batch, s.chunks(), s.state, s.inner}, packed.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "scan_forward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    const auto weight_t = transposed<C, C>(weight.const_data_ptr<C>(), s.inner, s.rank);
    const auto a_t = transposed<C, C>(a.const_data_ptr<C>(), s.inner, s.state);
    const int64_t row = s.time * s.inner;
    at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        forward_one<T, C>(x.const_data_ptr<T>() + b * row, z.const_data_ptr<T>() + b * row,
                          packed.const_data_ptr<C>() + b * s.time * s.packed(), weight_t.data(), bias.const_data_ptr<C>(),
                          a_t.data(), skip.const_data_ptr<C>(), out.mutable_data_ptr<T>() + b * row,
                          saved.mutable_data_ptr<C>() + b * s.chunks() * s.state * s.inner, s);
      }
    });
  });
  return {out, saved};
}

// Gradients in the order of scan_forward's arguments.
std::vector<at::Tensor> scan_backward(at::Tensor x, at::Tensor z, at::Tensor packed, at::Tensor weight, at::Tensor bias,
                                      at::Tensor a, at::Tensor skip, at::Tensor saved, at::Tensor dout) {
  const Sizes s = sizes_of(x, weight, a);
  auto dx = at::empty_like(x), dz = at::empty_like(z), dpacked = at::empty_like(packed);
  // Per-sequence sums first, added up in a fixed order after: the result does not depend on the thread count.
  auto dweight = at::empty({s.batch, s.rank, s.inner}, packed.options());
  auto dbias = at::empty({s.batch, s.inner}, packed.options());
  auto da = at::empty({s.batch, s.state, s.inner}, packed.options());
  auto dskip = at::empty({s.batch, s.inner}, packed.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "scan_backward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    const auto weight_t = transposed<C, C>(weight.const_data_ptr<C>(), s.inner, s.rank);
    const auto a_t = transposed<C, C>(a.const_data_ptr<C>(), s.inner, s.state);
    const int64_t row = s.time * s.inner;
    at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        ParameterGrads<C> grads(s);
        backward_one<T, C>(x.const_data_ptr<T>() + b * row, z.const_data_ptr<T>() + b * row,
                           packed.const_data_ptr<C>() + b * s.time * s.packed(), weight_t.data(), bias.const_data_ptr<C>(),
                           a_t.data(), skip.const_data_ptr<C>(), saved.const_data_ptr<C>() + b * s.chunks() * s.state * s.inner,
                           dout.const_data_ptr<T>() + b * row, dx.mutable_data_ptr<T>() + b * row,
                           dz.mutable_data_ptr<T>() + b * row, dpacked.mutable_data_ptr<C>() + b * s.time * s.packed(), grads, s);
        store_row(grads.weight_t.data(), dweight.mutable_data_ptr<C>() + b * s.rank * s.inner, s.rank * s.inner);
        store_row(grads.bias.data(), dbias.mutable_data_ptr<C>() + b * s.inner, s.inner);
        store_row(grads.a_t.data(), da.mutable_data_ptr<C>() + b * s.state * s.inner, s.state * s.inner);
        store_row(grads.skip.data(), dskip.mutable_data_ptr<C>() + b * s.inner, s.inner);
      }
    });
  });
  return {dx, dz, dpacked, dweight.sum(0).t().contiguous(), dbias.sum(0), da.sum(0).t().contiguous(), dskip.sum(0)};
}

}  // namespace hosts
