"""The hybrid language model: llama.cpp's `jamba` graph in torch, small.

Every layer is  x += mixer(norm(x));  x += feed_forward(norm(x)).  The mixer is a Mamba scan, except in one layer, where
it is grouped-query attention without positions. The residual stream is float32, the matrix products bfloat16.

The forgetting floor. Left alone, the scan learns a time step near zero for everything but the needle and carries a
single pass key over thousands of tokens in its own state, and then nothing depends on the KV cache. So the step has
a lower bound that holds for every input: the input of the step's projection is RMS normalised with fixed unit
weights, hence |W dt| <= sqrt(rank) |W|, and `enforce_floor` keeps  bias - sqrt(rank) |W|  above the value that
makes  delta |A| >= 1 / horizon.  Every state then decays by at least exp(-1 / horizon) a token, by construction.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

import ops


@dataclass
class Shape:
    """Sizes of a model. `attention` is the index of the attention layer."""

    vocabulary: int = 1024
    layers: int = 4
    width: int = 128
    inner: int = 256  # llama.cpp accepts only 2 * width
    taps: int = 4
    state: int = 8
    rank: int = 8
    heads: int = 4
    kv_heads: int = 2
    attention: int = 2
    feed_forward: int = 256
    horizon: float = 24.0  # tokens after which a state has decayed to 1/e at the latest

    def dict(self):
        return asdict(self)


class Linear(nn.Module):
    """x W^T in bfloat16 with a float32 master weight [out, in]."""

    def __init__(self, inputs, outputs, zero=False):
        """zero: a projection back to the residual stream starts at nothing, so that tokens pass unmixed at first."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (0.0 if zero else 1.0 / math.sqrt(inputs)))

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


class Mamba(nn.Module):
    """The Mamba mixer; x: [batch, time, width] bfloat16 -> the same."""

    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.in_x, self.in_z = Linear(s.width, s.inner), Linear(s.width, s.inner)
        self.conv_weight = nn.Parameter(torch.randn(s.inner, s.taps) / math.sqrt(s.taps))
        self.conv_bias = nn.Parameter(torch.zeros(s.inner))
        self.packed = Linear(s.inner, s.rank + 2 * s.state)  # dt | B | C
        self.b_norm = nn.Parameter(torch.ones(s.state))
        self.c_norm = nn.Parameter(torch.ones(s.state))
        self.dt_weight = nn.Parameter(torch.randn(s.inner, s.rank) * 0.1 / math.sqrt(s.rank))
        # Steps spread over [1/horizon, 0.5] on a log scale, as softplus^-1.
        step = torch.exp(torch.rand(s.inner) * (math.log(0.5) - math.log(1.0 / s.horizon)) - math.log(s.horizon))
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, s.state + 1)).repeat(s.inner, 1))
        self.skip = nn.Parameter(torch.ones(s.inner))
        self.out = Linear(s.inner, s.width, zero=True)

    def forward(self, x, mask=None):
        s = self.s
        assert s.rank == s.state, "the three norms run as one kernel over equal widths"
        hidden = ops.conv(self.in_x(x), self.conv_weight, self.conv_bias)
        packed = self.packed(hidden).float().unflatten(-1, (3, s.state))
        weight = torch.stack([torch.ones_like(self.b_norm), self.b_norm, self.c_norm])
        packed = ops.norm(packed, weight).flatten(-2)
        return self.out(ops.scan(hidden, self.in_z(x), packed, self.dt_weight, self.dt_bias, -torch.exp(self.a_log),
                                 self.skip))

    @torch.no_grad()
    def enforce_floor(self):
        """Raises the bias where the smallest possible step would fall below 1 / (horizon min|A|)."""
        self.a_log.clamp_(min=0.0)
        step = 1.0 / self.s.horizon
        bound = math.log(math.expm1(step)) + math.sqrt(self.s.rank) * self.dt_weight.norm(dim=1)
        self.dt_bias.copy_(torch.maximum(self.dt_bias, bound))


class Attention(nn.Module):
    """Grouped-query attention without positions. `mask` [time, time] bool: True where a query may look."""

    def __init__(self, s: Shape):
        super().__init__()
        self.s, self.size = s, s.width // s.heads
        self.q, self.k = Linear(s.width, s.width), Linear(s.width, s.kv_heads * self.size)
        self.v = Linear(s.width, s.kv_heads * self.size)
        self.out = Linear(s.width, s.width, zero=True)

    def forward(self, x, mask=None):
        q, k, v = (p(x).unflatten(-1, (-1, self.size)).transpose(1, 2) for p in (self.q, self.k, self.v))
        group = self.s.heads // self.s.kv_heads  # llama.cpp: query head h reads KV head h // group
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).flatten(-2))


class Layer(nn.Module):
    def __init__(self, s: Shape, index: int):
        super().__init__()
        self.norm = nn.Parameter(torch.ones(s.width))
        self.mixer = Attention(s) if index == s.attention else Mamba(s)
        self.ffn_norm = nn.Parameter(torch.ones(s.width))
        self.gate, self.up = Linear(s.width, s.feed_forward), Linear(s.width, s.feed_forward)
        self.down = Linear(s.feed_forward, s.width, zero=True)

    def forward(self, x, mask, half):
        x = x + self.mixer(ops.norm(x, self.norm, half=half), mask)
        y = ops.norm(x, self.ffn_norm, half=half)
        return x + self.down(ops.swiglu(self.gate(y), self.up(y)))


class Model(nn.Module):
    """tokens [batch, time] int64 -> hidden states [batch, time, width]; `logits` applies the tied output matrix."""

    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.embedding = nn.Parameter(torch.randn(s.vocabulary, s.width) * 0.05)
        self.layers = nn.ModuleList(Layer(s, i) for i in range(s.layers))
        self.norm = nn.Parameter(torch.ones(s.width))
        self.enforce_floor()

    def forward(self, tokens, mask=None, half=True):
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = layer(x, mask, half)
        return ops.norm(x, self.norm, half=half)

    def logits(self, hidden):
        return F.linear(hidden, self.embedding.to(hidden.dtype))

    def enforce_floor(self):
        for layer in self.layers:
            if isinstance(layer.mixer, Mamba):
                layer.mixer.enforce_floor()
