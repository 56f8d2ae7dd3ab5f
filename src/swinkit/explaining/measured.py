"""Time and memory of Swin and of a plain ViT over growing images, and how they grow.

The ViT is torchvision's, as deep as Swin has blocks and as wide as its third stage, with patches
of 16 pixels. Each size runs in a process of its own, so that memory is its own too.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import create_backbone
from swinkit.errors import SwinkitError
from swinkit.explaining.complexity import complexity
from swinkit.fresh_process import in_fresh_process
from swinkit.pictures.drawing import save_figure
from swinkit.windows.layout import ceil_div

VIT_PATCH = 16
HEAD_CHANNELS = 64
SWIN, VIT = "swin", "vit"
DRAWN_SIDES = (224, 320, 448, 640, 896, 1280, 1792, 2048)
# Okabe and Ito's colors, which color-blind readers tell apart.
BLUE, ORANGE = "#0072b2", "#d55e00"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size of one network.

    Attributes:
        side: of the square image, in pixels.
        seconds: of a forward pass of one image.
        memory_mb: peak of the process.
    """

    network: str
    side: int
    seconds: float
    memory_mb: float


def measure_growth(
    name: str,
    sides: Sequence[int],
    *,
    budget: float = 120.0,
    repeats: int = 3,
    tell: Callable[[Point], object] = lambda point: None,
) -> tuple[list[Point], list[str]]:
    """Points of the named backbone and of the ViT, and what was left out and why.

    Args:
        name: of a backbone.
        budget: seconds that a size may take; larger ones are left out then.
        repeats: forward passes, of which the median counts.
        tell: called with each point as soon as it is measured.
    """
    points: list[Point] = []
    said: list[str] = []
    for network in (SWIN, VIT):
        for side in sorted(sides):
            arguments = (network, name, side, repeats, torch.get_num_threads())
            try:
                seconds, memory = in_fresh_process(_seconds, *arguments, budget=budget)
            except SwinkitError as error:
                said.append(f"{network} ends before {side} x {side}: {error}")
                break
            found = Point(network=network, side=side, seconds=seconds, memory_mb=memory)
            points.append(found)
            tell(found)
    return points, said


def exponent(points: Sequence[Point], network: str) -> float | None:
    """k where time grows as (pixels)^k, by least squares over the logarithms; None for one size."""
    own = [point for point in points if point.network == network]
    if len(own) < 2:
        return None
    pixels = [math.log(point.side**2) for point in own]
    seconds = [math.log(point.seconds) for point in own]
    middle, mean = sum(pixels) / len(own), sum(seconds) / len(own)
    spread = sum((x - middle) ** 2 for x in pixels)
    return sum((x - middle) * (y - mean) for x, y in zip(pixels, seconds, strict=True)) / spread


def _seconds(network: str, name: str, side: int, repeats: int, threads: int) -> float:
    torch.set_num_threads(threads)
    model, side = build(network, name, side)
    image = torch.randn(1, 3, side, side)
    taken = []
    with torch.inference_mode():
        for _ in range(repeats + 1):  # the first warms up
            start = time.perf_counter()
            model(image)
            taken.append(time.perf_counter() - start)
    return median(taken[1:])


def build(network: str, name: str, side: int) -> tuple[nn.Module, int]:
    """The backbone, or a ViT as wide as its third stage (its last, if it has fewer).

    Returns:
        In evaluation mode, with the side of its images: the ViT's are of whole patches.
    """
    backbone = create_backbone(name)
    if network == SWIN:
        return backbone.eval(), side
    from torchvision.models import VisionTransformer

    channels = backbone.channels[min(2, len(backbone.channels) - 1)]
    side = ceil_div(side, VIT_PATCH) * VIT_PATCH
    model = VisionTransformer(
        image_size=side,
        patch_size=VIT_PATCH,
        num_layers=sum(backbone.config.depths),
        num_heads=max(channels // HEAD_CHANNELS, 1),
        hidden_dim=channels,
        mlp_dim=4 * channels,
    )
    return model.eval(), side


def draw(
    configs: Mapping[str, SwinConfig], points: Mapping[str, Sequence[Point]], path: Path
) -> None:
    """A panel of multiply-adds per model, and one of measured times where there are any.

    Raises:
        SwinkitError: a file that cannot be written.
    """
    from matplotlib.figure import Figure

    columns = 2 if points else 1
    size = (5.2 * columns, 3.8 * len(configs))
    figure = Figure(figsize=size, layout="constrained")
    for row, (name, config) in enumerate(configs.items()):
        axes = figure.add_subplot(len(configs), columns, row * columns + 1)
        costs = [complexity(config, (side, side)) for side in DRAWN_SIDES]
        pixels = [side**2 / 1e6 for side in DRAWN_SIDES]
        axes.loglog(pixels, [c.attention / 1e9 for c in costs], "o-", color=BLUE, label="windows")
        everywhere = [c.global_attention / 1e9 for c in costs]
        axes.loglog(pixels, everywhere, "s--", color=ORANGE, label="everywhere")
        axes.set(xlabel="megapixels", ylabel="G multiply-adds", title=f"{name}: q k^T and mean")
        axes.legend()
        if name in points:
            axes = figure.add_subplot(len(configs), columns, row * columns + 2)
            for network, color, mark in (("swin", BLUE, "o-"), ("vit", ORANGE, "s--")):
                own = [one for one in points[name] if one.network == network]
                x = [one.side**2 / 1e6 for one in own]
                axes.loglog(x, [one.seconds for one in own], mark, color=color, label=network)
            axes.set(xlabel="megapixels", ylabel="seconds", title=f"{name}: measured")
            axes.legend()
    save_figure(figure, path)
