"""Checks the C++ kernels: gradcheck in double, and agreement with plain torch in double and bfloat16."""

import torch
from torch.autograd import gradcheck

import ops


def main():
    torch.manual_seed(0)
    make = lambda *shape: torch.randn(*shape, dtype=torch.double, requires_grad=True)
    batch, time, inner, state, rank = 2, 19, 6, 3, 2  # 19 tokens: one full chunk of 16 and a ragged one
    a = (-torch.rand(inner, state, dtype=torch.double) - 0.5).requires_grad_()
    scan = (make(batch, time, inner), make(batch, time, inner), make(batch, time, rank + 2 * state),
            make(inner, rank), make(inner), a, make(inner))
    assert torch.allclose(ops.scan(*scan), ops.naive_scan(*scan))
    assert gradcheck(ops.scan, scan)
    conv = (make(batch, 7, inner), make(inner, 4), make(inner))
    assert torch.allclose(ops.conv(*conv), ops.naive_conv(*conv))
    assert gradcheck(ops.conv, conv)
    for weight in (make(8), make(3, 8)):
        x = make(5, 3, 8)
        assert torch.allclose(ops.norm(x, weight), ops.naive_norm(x, weight))
        assert gradcheck(ops.norm, (x, weight))
    pair = (make(5, 8), make(5, 8))
    assert torch.allclose(ops.swiglu(*pair), torch.nn.functional.silu(pair[0]) * pair[1])
    assert gradcheck(ops.swiglu, pair)
    target, weight = torch.tensor([0, 3, 7, 2]), torch.rand(4, dtype=torch.double)
    logits = make(4, 8)
    assert gradcheck(lambda v: ops.cross_entropy(v, target, weight)[0], (logits,))
    wanted = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    assert torch.allclose(ops.cross_entropy(logits, target, weight)[1], wanted)
    half = [t.detach().bfloat16() if i < 2 else t.detach().float() for i, t in enumerate(scan)]
    wanted = ops.naive_scan(*[t.double() for t in half])
    error = (ops.scan(*half).double() - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-2, error
    print("kernels agree with plain torch; largest bfloat16 error of the scan, relative:", float(error))


if __name__ == "__main__":
    main()
