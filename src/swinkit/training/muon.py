"""Muon (2502.16982): matrices move along their averaged gradient with all singular values made one.

Legend: M matrices of one shape, m n rows and columns.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic, steepest at zero
ITERATIONS = 5
RMS_OF_ADAMW = 0.2  # the usual root mean square of an AdamW step of learning rate one


class Muon(Optimizer):
    """Muon for two-dimensional parameters, its step scaled to the root mean square of AdamW's.

    The numbers are those of `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, which iterates in
    bfloat16 everywhere. A processor without instructions for that took thirty times as long as in
    float32, so on a CPU this one iterates in float32; and matrices of one shape are worked on
    together.

    Args:
        groups: with params, and perhaps lr and weight_decay.
        lr: of groups without their own.
        weight_decay: the same, decoupled as AdamW's.
        momentum: of the averaged gradient, which Nesterov's rule looks ahead on.

    Source: 2502.16982, section 2; K. Jordan's Muon (2024) for the iteration.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. `closure`, if given, computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for matrices in by_shape.values():
                self._move(matrices, group["lr"], group["weight_decay"], group["momentum"])
        return loss

    def _move(self, matrices: list[Tensor], lr: float, decay: float, momentum: float) -> None:
        directions = []
        for matrix in matrices:
            assert matrix.grad is not None
            state = self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(matrix.grad)
            average = state["momentum_buffer"]
            average.lerp_(matrix.grad, 1 - momentum)
            directions.append(matrix.grad.lerp(average, momentum))
        step = lr * RMS_OF_ADAMW * max(matrices[0].shape) ** 0.5
        for matrix, direction in zip(matrices, orthogonal(torch.stack(directions)), strict=True):
            matrix.mul_(1 - lr * decay).add_(direction, alpha=-step)


def orthogonal(matrices: Tensor) -> Tensor:
    """`M m n` with all singular values brought near one (0.7 to 1.2), by Newton-Schulz iterations.

    U S V' becomes about U V': five times X <- a X + (b A + c A A) X with A = X X'.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # the smaller side first: A is small
    x = x.to(torch.float32 if x.device.type == "cpu" else torch.bfloat16)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)
