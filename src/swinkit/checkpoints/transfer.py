"""Moving weights to another window, resolution, number of classes or of input channels.

Each step returns a changed config or changes `BackboneWeights`, and writes one line per change into
the report.

Legend: C channels, N heads, M window (Mh, Mw), h w grid of absolute positions.
"""

from dataclasses import replace
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from swinkit.checkpoints.infer import BackboneWeights
from swinkit.checkpoints.infer_window import (
    Windows,
    WindowSize,
    fit_window,
    fit_windows,
    map_hw,
    shrunk_notes,
)
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources.tables import Tensors
from swinkit.errors import CheckpointError
from swinkit.settings import SizeHW
from swinkit.task.weights import TaskConfig, TaskWeights
from swinkit.windows.position_bias import resize_bias_table, resize_bias_table_geometric

ChannelPolicy = Literal["mean", "repeat", "zeros"]


def move_windows(
    weights: BackboneWeights,
    image_hw: SizeHW | None,
    window_size: WindowSize | None,
    report: LoadReport,
    *,
    shrinks: bool = True,
    tables: Literal["bicubic", "geometric"] = "bicubic",
) -> None:
    """Window per stage for a new image size or window.

    V1's tables move by bicubic interpolation, or on SimMIM's geometric grid; V2's MLP
    gives the bias of any window, its coordinates keep the scale of the window it was trained with.
    Without `window_size` a stage changes only where its window had shrunk to its map, as the
    source's constructor would have it; `shrinks` tells whether that constructor does.
    """
    config, before = weights.config, weights.config.windows
    image_hw = image_hw or weights.image_hw
    if window_size is not None:
        patch, rule = config.patch_size, config.small_map_rule if shrinks else "keep"
        after = fit_windows(window_size, config.num_stages, image_hw, patch, rule)
        if after != before:
            report.notes += shrunk_notes(window_size, after, image_hw)
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
            how = _resize_tables(weights, stage, old, new, tables)
        report.changed.append(
            f"stage {stage + 1}: window {old[0]}x{old[1]} to {new[0]}x{new[1]}; {how}"
        )
    weights.config = replace(config, window_size=after, pretrained_window_size=tuple(pretrained))


def _regrown(weights: BackboneWeights, image_hw: SizeHW) -> Windows:
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


def _resize_tables(
    weights: BackboneWeights,
    stage: int,
    old: SizeHW,
    new: SizeHW,
    tables: Literal["bicubic", "geometric"],
) -> str:
    depth = weights.config.depths[stage]
    resize = resize_bias_table if tables == "bicubic" else resize_bias_table_geometric
    for block in range(depth):
        name = f"stages.{stage}.blocks.{block}.attention.position_bias.table"
        weights.tensors[name] = resize(weights.tensors[name], old, new)
    return f"{depth} bias tables resized ({tables})"


def move_image(weights: BackboneWeights, image_hw: SizeHW | None, report: LoadReport) -> None:
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
    weights: BackboneWeights, in_channels: int | None, policy: ChannelPolicy, report: LoadReport
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


def move_image_kernels(
    task: TaskWeights[Any], tensors: Tensors, in_channels: int, policy: ChannelPolicy
) -> None:
    """Kernels of the heads that read the image follow the backbone's number of bands."""
    for name in task.image_kernels:
        if name in tensors and tensors[name].shape[1] != in_channels:
            tensors[name] = moved_kernel(tensors[name], in_channels, policy)


def move_classes(
    task: TaskWeights[Any],
    tensors: Tensors,
    config: TaskConfig,
    num_classes: int | None,
    report: LoadReport,
) -> int:
    """Heads for another number of classes; returns that number.

    Rows that the classes of both data sets share are kept. Any other change drops what belongs to
    the old classes, so that the model's fresh values stay.

    Raises:
        CheckpointError: fewer than one class.
    """
    old = config.num_classes
    if num_classes is None or num_classes == old:
        return old
    if num_classes < 1:
        raise CheckpointError(f"num_classes is {num_classes}; it must be at least 1")
    names = task.class_tensors(tensors, config)
    shared = task.shared_rows(old, num_classes)
    if shared is not None:
        rows, text = shared
        for name in names:
            tensors[name] = tensors[name][rows].contiguous()
        report.changed.append(text)
        return num_classes
    for name in names:
        tensors.pop(name, None)
    report.initialized += names
    before = f"{old} classes to" if old else "none in the file,"
    report.changed.append(f"head: {before} {num_classes}, freshly initialized")
    return num_classes
