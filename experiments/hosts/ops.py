"""The C++ training kernels as autograd functions.

`rows.cpp` and `scan.cpp` are compiled at the first import (about a minute) and cached by torch. Every function has a
plain torch twin in `naive_*`, which `check_ops.py` compares it with.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.cpp_extension import load

_HERE = Path(__file__).resolve().parent
_kernels = load(
    name="namm_host_ops",
    sources=[str(_HERE / "rows.cpp"), str(_HERE / "scan.cpp")],
    extra_cflags=["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp"],
    extra_ldflags=["-fopenmp"],
)
_kernels.keep_memory()


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, epsilon, half):
        out, scale = _kernels.norm_forward(x.contiguous(), weight.contiguous(), epsilon, half)
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    def backward(ctx, dout):
        x, weight, scale = ctx.saved_tensors
        dx, dweight = _kernels.norm_backward(x.contiguous(), weight.contiguous(), scale, dout.contiguous())
        return dx, dweight, None, None


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        x = x.contiguous()
        ctx.save_for_backward(x, weight, bias)
        return _kernels.conv_forward(x, weight, bias)

    @staticmethod
    def backward(ctx, dout):
        return tuple(_kernels.conv_backward(*ctx.saved_tensors, dout.contiguous()))


class _Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return _kernels.swiglu_forward(gate.contiguous(), up.contiguous())

    @staticmethod
    def backward(ctx, dout):
        gate, up = ctx.saved_tensors
        return tuple(_kernels.swiglu_backward(gate.contiguous(), up.contiguous(), dout.contiguous()))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, z, packed, weight, bias, a, skip):
        inputs = [t.contiguous() for t in (x, z, packed, weight, bias, a, skip)]
        out, saved = _kernels.scan_forward(*inputs)
        ctx.save_for_backward(*inputs, saved)
        return out

    @staticmethod
    def backward(ctx, dout):
        return tuple(_kernels.scan_backward(*ctx.saved_tensors, dout.contiguous()))


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, target, weight):
        losses, grad = _kernels.cross_entropy(logits.contiguous(), target.contiguous(), weight.contiguous())
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(losses)
        return (losses * weight).sum(), losses

    @staticmethod
    def backward(ctx, dloss, _):
        return ctx.saved_tensors[0] * dloss.to(ctx.saved_tensors[0].dtype), None, None


def norm(x, weight, epsilon=1e-6, half=False):
    """RMS norm. x: [..., width] float32; weight: [width], or [groups, width] with x [..., groups, width]."""
    return _Norm.apply(x, weight, epsilon, half)


def conv(x, weight, bias):
    """Causal depthwise convolution, then SiLU. x: [batch, time, inner]; weight: [inner, taps]; bias: [inner]."""
    return _Conv.apply(x, weight, bias)


def swiglu(gate, up):
    """silu(gate) * up; both [..., width]."""
    return _Swiglu.apply(gate, up)


def scan(x, z, packed, weight, bias, a, skip):
    """The gated selective scan; shapes in scan.cpp."""
    return _Scan.apply(x, z, packed, weight, bias, a, skip)


def cross_entropy(logits, target, weight):
    """(weighted sum, row losses). logits: [rows, vocabulary]; target: [rows]; weight: [rows] float32."""
    return _CrossEntropy.apply(logits, target, weight)


def naive_norm(x, weight, epsilon=1e-6):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def naive_conv(x, weight, bias):
    taps = weight.shape[1]
    return F.silu(F.conv1d(F.pad(x.transpose(1, 2), (taps - 1, 0)), weight[:, None], bias, groups=len(bias)).transpose(1, 2))


def naive_scan(x, z, packed, weight, bias, a, skip):
    rank, state = weight.shape[1], a.shape[1]
    dt, b, c = packed.split([rank, state, state], dim=-1)
    delta = F.softplus(dt @ weight.t() + bias)  # [batch, time, inner]
    h = x.new_zeros(x.shape[0], x.shape[2], state)
    rows = []
    for t in range(x.shape[1]):
        h = torch.exp(delta[:, t, :, None] * a) * h + (delta[:, t] * x[:, t])[..., None] * b[:, t, None, :]
        rows.append((h * c[:, t, None, :]).sum(-1))
    return (torch.stack(rows, 1) + skip * x) * F.silu(z)
