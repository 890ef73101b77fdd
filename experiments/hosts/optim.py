"""Muon for the matrices, AdamW for everything else.

Muon (Jordan and others, 2024) replaces a matrix's momentum by the nearest orthogonal matrix, found by five steps of a
Newton-Schulz iteration. It reaches a given loss in clearly fewer steps than AdamW on models of this size, and steps
are what a CPU is short of.
"""

import torch


def orthogonalise(g, steps=5):
    """g: [count, rows, columns] with rows <= columns -> the same shape, singular values near 1."""
    x = g.bfloat16() / (g.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.float()


class Muon(torch.optim.Optimizer):
    """Matrices are stacked by shape (a tall one transposed), so a step is a few batched products."""

    def __init__(self, parameters, lr=0.02, momentum=0.95, decay=0.01):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(m, group["momentum"])
                tall = p.shape[0] > p.shape[1]
                update = update.t() if tall else update
                by_shape.setdefault(tuple(update.shape), []).append((p, update, tall))
            for items in by_shape.values():
                for (p, _, tall), u in zip(items, orthogonalise(torch.stack([u for _, u, _ in items]))):
                    u = u.t() if tall else u
                    p.mul_(1 - group["lr"] * group["decay"])
                    p.add_(u, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def build(model, muon_lr=0.02, adam_lr=3e-3):
    """The two optimisers of a model; each group remembers its peak rate as `peak`."""
    small = ("embedding", "norm", "conv_", "packed", "dt_", "a_log", "skip")
    named = list(model.named_parameters())
    is_small = lambda n, p: p.dim() != 2 or any(s in n for s in small)
    muon = Muon([p for n, p in named if not is_small(n, p)], lr=muon_lr)
    adam = torch.optim.AdamW([p for n, p in named if is_small(n, p)], lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
    for optimiser in (muon, adam):
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return muon, adam
