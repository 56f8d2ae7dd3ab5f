"""Moving weights to another window, resolution, number of classes or of input channels.

Each step returns a changed config and writes one line per change into the report.

Legend: C channels, N heads, M window (Mh, Mw), h w grid of absolute positions.
"""

from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from swinkit.backbones.config import SwinConfig, per_stage
from swinkit.checkpoints.infer_window import fit_window, map_hw
from swinkit.checkpoints.keymap import Tensors
from swinkit.checkpoints.report import LoadReport
from swinkit.errors import CheckpointError
from swinkit.settings import SizeHW
from swinkit.windows.position_bias import resize_bias_table

ChannelPolicy = Literal["mean", "repeat", "zeros"]
IMAGENET_22K, IMAGENET_1K = 21841, 1000


@dataclass(kw_only=True)
class Weights:
    """What is being moved: changed in place, step by step.

    Attributes:
        image_hw: size in pixels that the model is made for.
        num_classes: of the head, None without one.
    """

    tensors: Tensors
    config: SwinConfig
    image_hw: SizeHW
    num_classes: int | None


def move_windows(
    weights: Weights, image_hw: SizeHW | None, window_size: Any, report: LoadReport
) -> None:
    """Window per stage for a new image size or window.

    V1's tables move by bicubic interpolation; V2's MLP gives the bias of any window, its
    coordinates keep the scale of the window it was trained with. Without `window_size` a stage
    changes only where its window had shrunk to its map, as the source's constructor would have it.
    """
    config, before = weights.config, weights.config.windows
    image_hw = image_hw or weights.image_hw
    rule = config.small_map_rule
    if window_size is not None:
        asked = per_stage(window_size, config.num_stages, "window_size", 1)
        explicit = len(set(asked)) > 1
        after = tuple(
            window
            if explicit
            else fit_window(window, map_hw(image_hw, config.patch_size, stage), rule)
            for stage, window in enumerate(asked)
        )
    else:
        after = _regrown(weights, image_hw)
    if after == before:
        return
    pretrained = list(config.pretrained_windows)
    for stage, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        if config.version == 2:
            trained = old if pretrained[stage] == (0, 0) else pretrained[stage]
            pretrained[stage] = (0, 0) if trained == new else trained
            how = f"coordinates keep the scale of window {trained[0]}x{trained[1]}"
        else:
            how = _resize_tables(weights, stage, old, new)
        report.changed.append(
            f"stage {stage + 1}: window {old[0]}x{old[1]} to {new[0]}x{new[1]}; {how}"
        )
    weights.config = replace(config, window_size=after, pretrained_window_size=tuple(pretrained))


def _regrown(weights: Weights, image_hw: SizeHW) -> tuple[SizeHW, ...]:
    config = weights.config
    largest = max(config.windows, key=lambda window: window[0] * window[1])
    windows: list[SizeHW] = []
    for stage, window in enumerate(config.windows):
        old_map = map_hw(weights.image_hw, config.patch_size, stage)
        shrunk = window != largest and fit_window(largest, old_map, config.small_map_rule) == window
        new_map = map_hw(image_hw, config.patch_size, stage)
        grown = fit_window(largest, new_map, config.small_map_rule)
        larger = grown[0] >= window[0] and grown[1] >= window[1]
        windows.append(grown if shrunk and larger else window)
    return tuple(windows)


def _resize_tables(weights: Weights, stage: int, old: SizeHW, new: SizeHW) -> str:
    depth = weights.config.depths[stage]
    for block in range(depth):
        name = f"stages.{stage}.blocks.{block}.attention.position_bias.table"
        weights.tensors[name] = resize_bias_table(weights.tensors[name], old, new)
    return f"{depth} bias tables resized (bicubic)"


def move_image(weights: Weights, image_hw: SizeHW | None, report: LoadReport) -> None:
    """The learned absolute embedding on the grid of a new image size, bicubic (1, h, w, C)."""
    if image_hw is None or image_hw == weights.image_hw:
        return
    grid = map_hw(image_hw, weights.config.patch_size, 0)
    present = weights.config.absolute_position_hw
    if present is not None and present != grid:
        position = weights.tensors["absolute_position"].permute(0, 3, 1, 2).float()
        moved = F.interpolate(position, size=grid, mode="bicubic", align_corners=False)
        weights.tensors["absolute_position"] = moved.permute(0, 2, 3, 1).contiguous()
        weights.config = replace(weights.config, absolute_position_hw=grid)
        report.changed.append(
            f"absolute position embedding {present[0]}x{present[1]} to {grid[0]}x{grid[1]}, bicubic"
        )
    old = weights.image_hw
    report.notes.append(
        f"image size {old[0]}x{old[1]} to {image_hw[0]}x{image_hw[1]} in preprocessing"
    )
    weights.image_hw = image_hw


def move_channels(
    weights: Weights, in_channels: int | None, policy: ChannelPolicy, report: LoadReport
) -> None:
    """The patch projection (C, old, p, p) for another number of input channels.

    "mean": each new channel gets the mean over the old ones times old / new, so that equal bands
    give the activations that an equal-band color image gave. "repeat": the old channels in turn,
    times old / new. "zeros": the old channels keep their weights, further ones start at zero;
    with fewer channels the first ones are kept.

    Raises:
        CheckpointError: an unknown policy, or fewer than one channel.
    """
    old = weights.config.in_channels
    if policy not in get_args(ChannelPolicy):
        raise CheckpointError(
            f"channel_policy is {policy!r}; choose {', '.join(get_args(ChannelPolicy))}"
        )
    if in_channels is None or in_channels == old:
        return
    if in_channels < 1:
        raise CheckpointError(f"in_channels is {in_channels}; it must be at least 1")
    name = "patch_embed.projection.weight"
    weights.tensors[name] = moved_kernel(weights.tensors[name], in_channels, policy)
    weights.config = replace(weights.config, in_channels=in_channels)
    report.changed.append(f"input channels {old} to {in_channels}, policy {policy}")


def moved_kernel(kernel: Tensor, in_channels: int, policy: ChannelPolicy) -> Tensor:
    """A convolution's (C, old, h, w) kernel for images of `in_channels` bands."""
    old = kernel.shape[1]
    if policy == "mean":
        moved = kernel.mean(dim=1, keepdim=True).repeat(1, in_channels, 1, 1) * (old / in_channels)
    elif policy == "repeat":
        turns = -(-in_channels // old)
        moved = kernel.repeat(1, turns, 1, 1)[:, :in_channels] * (old / in_channels)
    else:
        moved = kernel.new_zeros(kernel.shape[0], in_channels, *kernel.shape[2:])
        moved[:, : min(old, in_channels)] = kernel[:, : min(old, in_channels)]
    return moved.contiguous()


def move_classes(weights: Weights, num_classes: int | None, report: LoadReport) -> None:
    """The head for another number of classes.

    ImageNet-22K to 1K keeps the rows of the classes that both have, in the authors' order; any
    other change drops the head's tensors, so that the model's fresh values stay.

    Raises:
        CheckpointError: fewer than one class.
    """
    old = weights.num_classes
    if num_classes is None or num_classes == old:
        return
    if num_classes < 1:
        raise CheckpointError(f"num_classes is {num_classes}; it must be at least 1")
    names = [name for name in weights.tensors if name.startswith("head.fc.")]
    if (old, num_classes) == (IMAGENET_22K, IMAGENET_1K):
        rows = imagenet_22k_to_1k()
        for name in names:
            weights.tensors[name] = weights.tensors[name][rows].contiguous()
        report.changed.append("head: the 1000 ImageNet-1K rows of the ImageNet-22K classifier")
    else:
        for name in names:
            del weights.tensors[name]
        report.initialised += ["head.fc.weight", "head.fc.bias"]
        before = f"{old} classes to " if old else "none in the file, "
        report.changed.append(f"head: {before}{num_classes} classes, freshly initialised")
    weights.num_classes = num_classes


def imagenet_22k_to_1k() -> list[int]:
    """Index among the 21841 official 22K classes of each ImageNet-1K class."""
    text = files("swinkit.checkpoints").joinpath("imagenet_22k_to_1k.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [int(number) for line in lines for number in line.split()]
