"""Which parameters decay, how fast each layer learns, what Muon takes, and which stages rest."""

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

from swinkit.errors import ConfigError
from swinkit.task.train_config import OptimizerConfig

NO_DECAY = ("position_bias.", "logit_scale", "absolute_position")
_BLOCK = re.compile(r"(?:^|\.)stages\.(\d+)\.blocks\.(\d+)\.")
_MERGE = re.compile(r"(?:^|\.)stages\.(\d+)\.merge\.")
_STAGES = re.compile(r"(?:^|\.)backbone\.stages\.")
_EMBEDDING = re.compile(r"(?:^|\.)(patch_embed\.|absolute_position$)")


def decays(name: str, dimensions: int) -> bool:
    """Whether weight decay applies: not to vectors (norms, biases), position biases (V1's table,
    V2's MLP), V2's logit scale and the absolute embedding, as in the reference's optimizer.py."""
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
