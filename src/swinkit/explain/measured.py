"""Time and memory of Swin and of a plain ViT over growing images, and how they grow.

The ViT is torchvision's, as deep as Swin has blocks and as wide as its third stage, with patches
of 16 pixels. Each size runs in a process of its own, so that memory is its own too.
"""

import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from statistics import median
from typing import Any

import torch
from torch import nn

from swinkit.backbones.swin import create_backbone

VIT_PATCH = 16
HEAD_CHANNELS = 64
SWIN, VIT = "swin", "vit"


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
    name: str, sides: Sequence[int], *, budget: float = 120.0, repeats: int = 3
) -> tuple[list[Point], list[str]]:
    """Points of the named backbone and of the ViT, and what was left out and why.

    Args:
        name: of a backbone.
        budget: seconds that a size may take; larger ones are left out then.
        repeats: forward passes, of which the median counts.
    """
    points: list[Point] = []
    said: list[str] = []
    for network in (SWIN, VIT):
        for side in sorted(sides):
            found = _in_a_process(network, name, side, budget, repeats)
            if isinstance(found, str):
                said.append(f"{network} ends before {side} x {side}: {found}")
                break
            points.append(found)
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


def _in_a_process(network: str, name: str, side: int, budget: float, repeats: int) -> Point | str:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    arguments = (network, name, side, repeats, torch.get_num_threads(), answer)
    process = context.Process(target=_run, args=arguments)
    process.start()
    deadline = time.monotonic() + budget
    try:
        while time.monotonic() < deadline:
            try:
                seconds, memory = answer.get(timeout=0.2)
            except Empty:
                if process.is_alive():
                    continue
                return "memory ended"
            return Point(network=network, side=side, seconds=seconds, memory_mb=memory)
        return f"it takes more than {budget:.0f} s"
    finally:
        process.kill()
        process.join()


def _run(network: str, name: str, side: int, repeats: int, threads: int, answer: Any) -> None:
    torch.set_num_threads(threads)
    model = build(network, name, side).eval()
    image = torch.randn(1, 3, side, side)
    taken = []
    with torch.inference_mode():
        for _ in range(repeats + 1):  # the first warms up
            start = time.perf_counter()
            model(image)
            taken.append(time.perf_counter() - start)
    status = Path("/proc/self/status")
    text = status.read_text() if status.exists() else "VmHWM: 0 kB"
    answer.put((median(taken[1:]), int(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6))


def build(network: str, name: str, side: int) -> nn.Module:
    """The backbone, or a ViT as wide as its third stage (its last, if it has fewer)."""
    backbone = create_backbone(name)
    if network == SWIN:
        return backbone
    from torchvision.models import VisionTransformer

    channels = backbone.channels[min(2, len(backbone.channels) - 1)]
    return VisionTransformer(
        image_size=-(-side // VIT_PATCH) * VIT_PATCH if side % VIT_PATCH else side,
        patch_size=VIT_PATCH,
        num_layers=sum(backbone.config.depths),
        num_heads=max(channels // HEAD_CHANNELS, 1),
        hidden_dim=channels,
        mlp_dim=4 * channels,
    )
