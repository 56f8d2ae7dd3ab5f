"""The optimizer: AdamW, or Muon for the matrices of the blocks and AdamW for all else."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch.optim import AdamW, Optimizer

from swinkit.training.muon import Muon


def build_optimizer(
    groups: list[dict[str, Any]],
    *,
    kind: Literal["adamw", "muon"],
    lr: float,
    betas: tuple[float, float],
) -> Optimizer:
    """Over `parameter_groups`: each has params, lr, weight_decay and `matrices`."""
    if kind == "muon":
        return MuonAdamW(groups, lr=lr, betas=betas)
    return AdamW(groups, lr=lr, betas=betas, fused=True)


class MuonAdamW(Optimizer):
    """Muon where a group says `matrices`, AdamW elsewhere, seen as one optimizer.

    Muon's step has the root mean square of AdamW's, so one learning rate and one schedule serve
    both.

    Args:
        groups: with params, lr, weight_decay and `matrices`; where that is true, all params are
            two-dimensional.
        lr: of groups without their own.
        betas: AdamW's averaging.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__(groups, {"lr": lr})
        self.parts: list[Optimizer] = []
        matrices = [group for group in self.param_groups if group["matrices"]]
        others = [group for group in self.param_groups if not group["matrices"]]
        # A group is one and the same dictionary here and in its part: a schedule reaches both.
        if matrices:
            self.parts.append(Muon(matrices, lr=lr))
        if others:
            self.parts.append(AdamW(others, lr=lr, betas=betas, fused=True))
        self._share()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of both. `closure`, if given, computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(dict(state_dict))
        self._share()

    def _share(self) -> None:
        """Let the parts work on this optimizer's groups and state."""
        for part in self.parts:
            muon = isinstance(part, Muon)
            part.param_groups = [g for g in self.param_groups if g["matrices"] == muon]
            part.state = self.state
