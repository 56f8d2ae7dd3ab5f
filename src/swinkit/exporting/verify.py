"""An exported file beside the model in PyTorch: the same numbers, and how long each takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from swinkit.checkpoints.artifact import runner_of
from swinkit.checkpoints.save import Model, backbone_of
from swinkit.console import table
from swinkit.engines.base import Engine
from swinkit.exporting.graph import takes_sizes
from swinkit.registry import task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel
from swinkit.task.weights import Agreement, compare_tensors

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
        difference, decisions: see `Agreement`; decisions are its `same`.
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


def compare_at(model: Model, engine: Engine, sizes: Sequence[SizeHW] = SIZES) -> Verification:
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
    """On `B C H W` images, of which all but the first are padded for a model that takes sizes."""
    batch, _, height, width = images.shape
    run = runner_of(engine, model) if isinstance(model, TaskModel) else engine
    rest: list[Any] = []
    if takes_sizes(model):
        rest.append([(max(1, height - 3 * row), max(1, width - 2 * row)) for row in range(batch)])
    with torch.no_grad():
        found, expected = run(images, *rest), model(images, *rest)
        eager_ms, engine_ms = None, None
        if batch == 1:
            eager_ms, engine_ms = _milliseconds(model, images), _milliseconds(run, images)
    agreement = _agreement(model, found, expected, (height, width))
    return Comparison(
        size_hw=(height, width),
        batch=batch,
        difference=agreement.difference,
        decisions=agreement.same,
        eager_ms=eager_ms,
        engine_ms=engine_ms,
    )


def _agreement(model: Model, found: Any, expected: Any, image_hw: SizeHW) -> Agreement:
    if isinstance(model, TaskModel):
        return task_weights(model.task).compare(found, expected, image_hw)
    return compare_tensors(found, expected)


def _milliseconds(run: Run, images: Tensor) -> float:
    taken = []
    for _ in range(TIMED):
        start = time.perf_counter()
        run(images)
        taken.append(time.perf_counter() - start)
    return median(taken) * 1000
