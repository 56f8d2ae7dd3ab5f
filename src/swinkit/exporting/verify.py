"""An exported file beside the model in PyTorch: the same numbers, and how long each takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from swinkit.checkpoints.save import Model, backbone_of
from swinkit.console import table
from swinkit.detection.exported import ExportedDetector
from swinkit.detection.network.base import DetectionNetwork
from swinkit.engines.base import Engine
from swinkit.exporting.objects import compare_detections
from swinkit.settings import SizeHW

# Sizes at which a file for any size is compared: smaller than a window, odd, square, long.
SIZES: tuple[SizeHW, ...] = (
    (32, 32),
    (37, 53),
    (64, 64),
    (97, 301),
    (224, 224),
    (225, 190),
    (384, 640),
    (50, 1000),
)
BATCHES = (1, 2, 5)
MOST_PIXELS = 400_000  # of a batch in a comparison
TIMED = 3  # forward passes of each, the median counts

Run = Callable[[Tensor], Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One batch of one size.

    Attributes:
        difference: the largest of any output, in units of that output's standard deviation.
        decisions: share of places or images whose best class is the same; 1 without classes. Of
            a detector the share of objects that both find, and `difference` is theirs.
        eager_ms, engine_ms: per image; None where it was not timed.
    """

    size_hw: SizeHW
    batch: int
    difference: float
    decisions: float
    eager_ms: float | None = None
    engine_ms: float | None = None


@dataclass(frozen=True)
class Verification:
    """All comparisons of a file."""

    rows: tuple[Comparison, ...]

    @property
    def difference(self) -> float:
        """The largest of all."""
        return max(row.difference for row in self.rows)

    @property
    def decisions(self) -> float:
        """The lowest share of same decisions."""
        return min(row.decisions for row in self.rows)

    @property
    def mean_decisions(self) -> float:
        """The mean share of same decisions."""
        return mean(row.decisions for row in self.rows)

    def table(self) -> Table:
        """A row per size and batch."""
        heads = ("height x width", "batch", "difference", "same decisions", "PyTorch ms", "file ms")
        rows = [
            (
                f"{row.size_hw[0]} x {row.size_hw[1]}",
                str(row.batch),
                f"{row.difference:.1e}",
                f"{row.decisions:.2%}",
                "" if row.eager_ms is None else f"{row.eager_ms:.1f}",
                "" if row.engine_ms is None else f"{row.engine_ms:.1f}",
            )
            for row in self.rows
        ]
        return table(heads, rows, numbers=range(1, len(heads)))


def verify(model: Model, engine: Engine, sizes: Sequence[SizeHW] = SIZES) -> Verification:
    """Compare an engine with a model in evaluation mode, at each size in batches of 1, 2 and 5.

    Images are noise, which leaves no part of a network idle. One image of each size is timed.
    """
    generator = torch.Generator().manual_seed(0)
    channels = backbone_of(model).config.in_channels
    was_training = model.training
    rows = []
    try:
        model.eval()
        for size_hw in sizes:
            for batch in BATCHES:
                if batch > 1 and batch * size_hw[0] * size_hw[1] > MOST_PIXELS:
                    continue
                images = torch.randn(batch, channels, *size_hw, generator=generator)
                rows.append(_compare(model, engine, images))
    finally:
        model.train(was_training)
    return Verification(tuple(rows))


def _compare(model: Model, engine: Engine, images: Tensor) -> Comparison:
    if isinstance(model, DetectionNetwork):
        run = ExportedDetector(engine, model.config)
        difference, decisions = compare_detections(model, run, images)
        return _timed(model, run, images, difference, decisions)
    with torch.no_grad():
        expected = model(images)
    expected = (expected,) if isinstance(expected, Tensor) else tuple(expected)
    found = engine(images)
    pairs = list(zip(found, expected, strict=True))
    difference = max(_difference(ours, theirs) for ours, theirs in pairs)
    return _timed(
        model, engine, images, difference, min(_decisions(ours, theirs) for ours, theirs in pairs)
    )


def _timed(
    model: Model, engine: Run, images: Tensor, difference: float, decisions: float
) -> Comparison:
    eager_ms, engine_ms = None, None
    if images.shape[0] == 1:
        with torch.no_grad():
            eager_ms, engine_ms = _milliseconds(model, images), _milliseconds(engine, images)
    return Comparison(
        size_hw=(images.shape[2], images.shape[3]),
        batch=images.shape[0],
        difference=difference,
        decisions=decisions,
        eager_ms=eager_ms,
        engine_ms=engine_ms,
    )


def _difference(found: Tensor, expected: Tensor) -> float:
    """In units of the standard deviation; what is not finite is off without end."""
    gap = float((found - expected).abs().max() / expected.std(correction=0).clamp_min(1e-12))
    return gap if gap == gap else float("inf")


def _decisions(found: Tensor, expected: Tensor) -> float:
    return float((found.argmax(1) == expected.argmax(1)).double().mean())


def _milliseconds(run: Run, images: Tensor) -> float:
    taken = []
    for _ in range(TIMED):
        start = time.perf_counter()
        run(images)
        taken.append(time.perf_counter() - start)
    return median(taken) * 1000
