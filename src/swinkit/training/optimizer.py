"""AdamW, or Muon (2502.16982) for the matrices of the blocks and AdamW for all else.

Also which parameters decay, how fast each layer learns, and which stages do not learn.
Legend: M matrices of one shape, m n rows and columns.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from swinkit.errors import ConfigError
from swinkit.task.train_config import OptimizerConfig

NO_DECAY = ("position_bias.", "logit_scale", "absolute_position", "mask_token")
_BLOCK = re.compile(r"(?:^|\.)stages\.(\d+)\.blocks\.(\d+)\.")
_MERGE = re.compile(r"(?:^|\.)stages\.(\d+)\.merge\.")
_STAGES = re.compile(r"(?:^|\.)backbone\.stages\.")
_EMBEDDING = re.compile(r"(?:^|\.)(patch_embed\.|absolute_position$)")
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Muon's quintic, steepest at zero
ITERATIONS = 5
MOMENTUM = 0.95  # of Muon's averaged gradient
RMS_OF_ADAMW = 0.2  # the usual root mean square of an AdamW step of learning rate one


def decays(name: str, dimensions: int) -> bool:
    """Whether weight decay applies: not to vectors (norms, biases), position biases (V1's table,
    V2's MLP), V2's logit scale, the absolute embedding and the mask token, as in the reference's
    optimizer.py."""
    return dimensions > 1 and not any(part in name for part in NO_DECAY)


def layer_of(name: str, depths: Iterable[int]) -> int:
    """Depth at which a parameter works: 0 patch embedding, 1 to D the blocks, D + 1 the rest.

    A patch merging belongs to the first block of its stage. The final norm and the head come
    last; D is the number of blocks.
    """
    depths = tuple(depths)
    if _EMBEDDING.search(name):
        return 0
    if match := _BLOCK.search(name):
        return 1 + sum(depths[: int(match[1])]) + int(match[2])
    if match := _MERGE.search(name):
        return 1 + sum(depths[: int(match[1])])
    return 1 + sum(depths)


def parameter_groups(
    model: nn.Module, depths: Iterable[int], config: OptimizerConfig, peak_lr: float
) -> list[dict[str, Any]]:
    """Groups for the optimizer; parameters that do not learn are left out.

    One per (layer, decay or not, Muon's matrices or not). Muon takes the weight matrices of the
    stages: query-key-value, projection, MLP and patch merging. Learning rate of layer l of L:
    `peak_lr * layer_decay ** (L - l)`.

    Raises:
        ConfigError: nothing learns.
    """
    depths = tuple(depths)
    last = 1 + sum(depths)
    groups: dict[tuple[int, bool, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = layer_of(name, depths) if config.layer_decay < 1 else last
        decay = decays(name, parameter.ndim)
        in_stage = decay and parameter.ndim == 2 and _STAGES.search(name) is not None
        matrices = config.kind == "muon" and in_stage
        group = groups.setdefault(
            (layer, decay, matrices),
            {
                "params": [],
                "names": [],
                "lr": peak_lr * config.layer_decay ** (last - layer),
                "weight_decay": config.weight_decay if decay else 0.0,
                "matrices": matrices,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    if not groups:
        raise ConfigError("no parameter learns; lower frozen_stages")
    return list(groups.values())


def frozen_modules(model: nn.Module, frozen_stages: int) -> list[nn.Module]:
    """The modules of the first stages, patch embedding included; none for 0.

    Raises:
        ConfigError: more stages than the model has.
    """
    backbone = model.get_submodule("backbone")
    stages = list(backbone.get_submodule("stages").children())
    if frozen_stages > len(stages):
        raise ConfigError(
            f"frozen_stages is {frozen_stages}, but the model has {len(stages)} stages; lower it"
        )
    if frozen_stages == 0:
        return []
    return [backbone.get_submodule("patch_embed"), *stages[:frozen_stages]]


def freeze(model: nn.Module, frozen_stages: int) -> None:
    """Take the first stages, the patch and the absolute position embedding out of learning.

    Raises:
        ConfigError: more stages than the model has.
    """
    for module in frozen_modules(model, frozen_stages):
        module.requires_grad_(False)
    if frozen_stages > 0:
        for name, parameter in model.named_parameters():
            if name.endswith("absolute_position"):
                parameter.requires_grad_(False)


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
    """Muon where a group says `matrices`, AdamW elsewhere, as one optimizer.

    Muon's step has the root mean square of AdamW's, so one learning rate and one schedule serve
    both. Its numbers are those of `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, which
    iterates in bfloat16 everywhere. A processor without instructions for that took thirty times as
    long as in float32, so on a CPU this one iterates in float32; and matrices of one shape are
    worked on together.

    Args:
        groups: with params, lr, weight_decay and `matrices`; where that is true, all params are
            two-dimensional.
        lr: of groups without their own.
        betas: AdamW's averaging.

    Source: 2502.16982, section 2; K. Jordan's Muon (2024) for the iteration.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__(groups, {"lr": lr})
        others = self._others()
        # A group is one and the same dictionary here and there: a schedule reaches both.
        self.adamw = AdamW(others, lr=lr, betas=betas, fused=True) if others else None
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both. `closure`, if given, computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.adamw is not None:
            self.adamw.step()
        for group in self.param_groups:
            by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"] if group["matrices"] else ():
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for matrices in by_shape.values():
                self._move(matrices, group["lr"], group["weight_decay"])
        return loss

    def _move(self, matrices: list[Tensor], lr: float, decay: float) -> None:
        """A step of Muon for matrices of one shape, with Nesterov's momentum."""
        directions = []
        for matrix in matrices:
            assert matrix.grad is not None
            state = self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(matrix.grad)
            average = state["momentum_buffer"]
            average.lerp_(matrix.grad, 1 - MOMENTUM)
            directions.append(matrix.grad.lerp(average, MOMENTUM))
        step = lr * RMS_OF_ADAMW * max(matrices[0].shape) ** 0.5
        for matrix, direction in zip(matrices, orthogonal(torch.stack(directions)), strict=True):
            matrix.mul_(1 - lr * decay).add_(direction, alpha=-step)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(dict(state_dict))
        self._share()

    def _others(self) -> list[dict[str, Any]]:
        return [group for group in self.param_groups if not group["matrices"]]

    def _share(self) -> None:
        """Let AdamW work on this optimizer's groups and state."""
        if self.adamw is not None:
            self.adamw.param_groups = self._others()
            self.adamw.state = self.state


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
