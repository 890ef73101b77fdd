// The row-wise operations around the scan, fused so that training spends its time in matrix products: RMS norm,
// short causal convolution with SiLU, SwiGLU, and a weighted cross-entropy that returns its own gradient.
// T is the storage type of activations (bfloat16 in training, double in gradcheck), C the type computed in.
#include "rows.h"

#include <malloc.h>

#include <vector>

namespace hosts {

// x: [rows, width] in the compute type; weight: [groups, width], row r uses weight[r % groups].
// Returns out [rows, width] (of type `kind`) and the reciprocal root mean squares [rows].
std::vector<at::Tensor> norm_forward(at::Tensor x, at::Tensor weight, double epsilon, at::ScalarType kind) {
  const int64_t width = x.size(-1), rows = x.numel() / width, groups = weight.numel() / width;
  auto out = at::empty(x.sizes(), x.options().dtype(kind));
  auto scale = at::empty({rows}, weight.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, kind, "norm_forward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, rows, 256, [&](int64_t begin, int64_t end) {
      std::vector<C> y(width);
      for (int64_t r = begin; r < end; ++r) {
        const C* in = x.const_data_ptr<C>() + r * width;
        const C* w = weight.const_data_ptr<C>() + (r % groups) * width;
        C sum = 0;
        for (int64_t i = 0; i < width; ++i) {
          sum += in[i] * in[i];
        }
        const C s = C(1) / std::sqrt(sum / width + C(epsilon));
        scale.mutable_data_ptr<C>()[r] = s;
        for (int64_t i = 0; i < width; ++i) {
          y[i] = in[i] * s * w[i];
        }
        store_row(y.data(), out.mutable_data_ptr<T>() + r * width, width);
      }
    });
  });
  return {out, scale};
}

std::vector<at::Tensor> norm_backward(at::Tensor x, at::Tensor weight, at::Tensor scale, at::Tensor dout) {
  const int64_t width = x.size(-1), rows = x.numel() / width, groups = weight.numel() / width;
  constexpr int64_t kBlocks = 16;  // fixed, so that the sum over rows is the same for every thread count
  auto dx = at::empty_like(x);
  auto dweight = at::zeros({kBlocks, groups, width}, weight.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, dout.scalar_type(), "norm_backward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, kBlocks, 1, [&](int64_t begin, int64_t end) {
      std::vector<C> g(width);
      for (int64_t r = rows * begin / kBlocks, block = begin; r < rows * end / kBlocks; ++r) {
        while (r >= rows * (block + 1) / kBlocks) {
          ++block;
        }
        const C* in = x.const_data_ptr<C>() + r * width;
        const C* w = weight.const_data_ptr<C>() + (r % groups) * width;
        C* dw = dweight.mutable_data_ptr<C>() + (block * groups + r % groups) * width;
        C* d = dx.mutable_data_ptr<C>() + r * width;
        const C s = scale.const_data_ptr<C>()[r];
        load_row(dout.const_data_ptr<T>() + r * width, g.data(), width);
        C dot = 0;
        for (int64_t i = 0; i < width; ++i) {
          dw[i] += g[i] * in[i] * s;
          g[i] *= w[i];
          dot += g[i] * in[i];
        }
        const C mean = dot * s * s / width;
        for (int64_t i = 0; i < width; ++i) {
          d[i] = s * (g[i] - in[i] * mean);
        }
      }
    });
  });
  return {dx, dweight.sum(0).reshape_as(weight)};
}

// out_t = silu(bias + sum_k weight[:, k] x_{t-taps+1+k}), zeros before the start. x: [batch, time, inner];
// weight: [inner, taps]; bias: [inner]. Returns out and leaves the pre-activation to be recomputed.
template <typename C>
void convolve(const C* x, int64_t t, int64_t inner, int64_t taps, const C* weight_t, const C* bias, C* pre) {
  for (int64_t d = 0; d < inner; ++d) {
    pre[d] = bias[d];
  }
  for (int64_t k = 0; k < taps; ++k) {
    const int64_t source = t - taps + 1 + k;
    if (source < 0) {
      continue;
    }
    const C* row = x + source * inner;
    const C* w = weight_t + k * inner;
    for (int64_t d = 0; d < inner; ++d) {
      pre[d] += w[d] * row[d];
    }
  }
}

at::Tensor conv_forward(at::Tensor x, at::Tensor weight, at::Tensor bias) {
  const int64_t batch = x.size(0), time = x.size(1), inner = x.size(2), taps = weight.size(1);
  auto out = at::empty_like(x);
  const auto weight_t = weight.t().contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "conv_forward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      std::vector<C> xs(time * inner), pre(inner);
      for (int64_t b = begin; b < end; ++b) {
        load_row(x.const_data_ptr<T>() + b * time * inner, xs.data(), time * inner);
        for (int64_t t = 0; t < time; ++t) {
          convolve(xs.data(), t, inner, taps, weight_t.const_data_ptr<C>(), bias.const_data_ptr<C>(), pre.data());
          for (int64_t d = 0; d < inner; ++d) {
            pre[d] *= sigmoid(pre[d]);
          }
          store_row(pre.data(), out.mutable_data_ptr<T>() + (b * time + t) * inner, inner);
        }
      }
    });
  });
  return out;
}

std::vector<at::Tensor> conv_backward(at::Tensor x, at::Tensor weight, at::Tensor bias, at::Tensor dout) {
  const int64_t batch = x.size(0), time = x.size(1), inner = x.size(2), taps = weight.size(1);
  auto dx = at::empty_like(x);
  auto dweight = at::zeros({batch, taps, inner}, weight.options());
  auto dbias = at::zeros({batch, inner}, weight.options());
  const auto weight_t = weight.t().contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "conv_backward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      std::vector<C> xs(time * inner), dxs(time * inner), pre(inner), g(inner);
      for (int64_t b = begin; b < end; ++b) {
        load_row(x.const_data_ptr<T>() + b * time * inner, xs.data(), time * inner);
        std::fill(dxs.begin(), dxs.end(), C(0));
        C* db = dbias.mutable_data_ptr<C>() + b * inner;
        for (int64_t t = 0; t < time; ++t) {
          convolve(xs.data(), t, inner, taps, weight_t.const_data_ptr<C>(), bias.const_data_ptr<C>(), pre.data());
          load_row(dout.const_data_ptr<T>() + (b * time + t) * inner, g.data(), inner);
          for (int64_t d = 0; d < inner; ++d) {
            const C gate = sigmoid(pre[d]);
            g[d] *= gate * (C(1) + pre[d] * (C(1) - gate));
            db[d] += g[d];
          }
          for (int64_t k = 0; k < taps; ++k) {
            const int64_t source = t - taps + 1 + k;
            if (source < 0) {
              continue;
            }
            const C* w = weight_t.const_data_ptr<C>() + k * inner;
            C* dw = dweight.mutable_data_ptr<C>() + (b * taps + k) * inner;
            for (int64_t d = 0; d < inner; ++d) {
              dxs[source * inner + d] += g[d] * w[d];
              dw[d] += g[d] * xs[source * inner + d];
            }
          }
        }
        store_row(dxs.data(), dx.mutable_data_ptr<T>() + b * time * inner, time * inner);
      }
    });
  });
  return {dx, dweight.sum(0).t().contiguous(), dbias.sum(0)};
}

// silu(gate) * up, both [rows, width].
at::Tensor swiglu_forward(at::Tensor gate, at::Tensor up) {
  const int64_t width = gate.size(-1), rows = gate.numel() / width;
  auto out = at::empty_like(gate);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_forward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, rows, 256, [&](int64_t begin, int64_t end) {
      std::vector<C> a(width), b(width);
      for (int64_t r = begin; r < end; ++r) {
        load_row(gate.const_data_ptr<T>() + r * width, a.data(), width);
        load_row(up.const_data_ptr<T>() + r * width, b.data(), width);
        for (int64_t i = 0; i < width; ++i) {
          a[i] = a[i] * sigmoid(a[i]) * b[i];
        }
        store_row(a.data(), out.mutable_data_ptr<T>() + r * width, width);
      }
    });
  });
  return out;
}

std::vector<at::Tensor> swiglu_backward(at::Tensor gate, at::Tensor up, at::Tensor dout) {
  const int64_t width = gate.size(-1), rows = gate.numel() / width;
  auto dgate = at::empty_like(gate), dup = at::empty_like(up);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_backward", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, rows, 256, [&](int64_t begin, int64_t end) {
      std::vector<C> a(width), b(width), g(width);
      for (int64_t r = begin; r < end; ++r) {
        load_row(gate.const_data_ptr<T>() + r * width, a.data(), width);
        load_row(up.const_data_ptr<T>() + r * width, b.data(), width);
        load_row(dout.const_data_ptr<T>() + r * width, g.data(), width);
        for (int64_t i = 0; i < width; ++i) {
          const C s = sigmoid(a[i]), v = a[i];
          a[i] = g[i] * b[i] * s * (C(1) + v * (C(1) - s));
          b[i] = g[i] * v * s;
        }
        store_row(a.data(), dgate.mutable_data_ptr<T>() + r * width, width);
        store_row(b.data(), dup.mutable_data_ptr<T>() + r * width, width);
      }
    });
  });
  return {dgate, dup};
}

// Sum over rows of weight[r] * -log softmax(logits[r])[target[r]]. logits: [rows, vocabulary]; target: int64 [rows];
// weight: [rows]. Returns the row losses (unweighted, [rows]) and the gradient of the weighted sum by the logits.
std::vector<at::Tensor> cross_entropy(at::Tensor logits, at::Tensor target, at::Tensor weight) {
  const int64_t rows = logits.size(0), width = logits.size(1);
  auto losses = at::empty({rows}, weight.options());
  auto grad = at::empty_like(logits);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, logits.scalar_type(), "cross_entropy", [&] {
    using T = scalar_t;
    using C = Compute<T>::type;
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
      std::vector<C> v(width);
      for (int64_t r = begin; r < end; ++r) {
        load_row(logits.const_data_ptr<T>() + r * width, v.data(), width);
        const int64_t wanted = target.const_data_ptr<int64_t>()[r];
        C top = v[0];
        for (int64_t i = 1; i < width; ++i) {
          top = v[i] > top ? v[i] : top;
        }
        const C at_target = v[wanted] - top;
        C sum = 0;
        for (int64_t i = 0; i < width; ++i) {
          v[i] = std::exp(v[i] - top);
          sum += v[i];
        }
        losses.mutable_data_ptr<C>()[r] = std::log(sum) - at_target;
        const C w = weight.const_data_ptr<C>()[r];
        const C scale = w / sum;
        for (int64_t i = 0; i < width; ++i) {
          v[i] *= scale;
        }
        v[wanted] -= w;
        store_row(v.data(), grad.mutable_data_ptr<T>() + r * width, width);
      }
    });
  });
  return {losses, grad};
}

// Activations come and go every step. Kept in the heap instead of mapped anew, they cost no page faults.
void keep_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 256 << 20);
}

std::vector<at::Tensor> scan_forward(at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor);
std::vector<at::Tensor> scan_backward(at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                                      at::Tensor, at::Tensor);

}  // namespace hosts

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  using release = pybind11::call_guard<pybind11::gil_scoped_release>;
  m.def(
      "norm_forward",
      [](at::Tensor x, at::Tensor weight, double epsilon, bool half) {
        return hosts::norm_forward(x, weight, epsilon, half ? at::kBFloat16 : x.scalar_type());
      },
      release());
  m.def("norm_backward", &hosts::norm_backward, release());
  m.def("conv_forward", &hosts::conv_forward, release());
  m.def("conv_backward", &hosts::conv_backward, release());
  m.def("swiglu_forward", &hosts::swiglu_forward, release());
  m.def("swiglu_backward", &hosts::swiglu_backward, release());
  m.def("cross_entropy", &hosts::cross_entropy, release());
  m.def("scan_forward", &hosts::scan_forward, release());
  m.def("scan_backward", &hosts::scan_backward, release());
  m.def("keep_memory", &hosts::keep_memory);
}
