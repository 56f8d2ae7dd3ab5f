"""What the evaluations of all tasks share: which samples, the mean of a loss, the report's files.

K classes.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric

from swinkit.data.config import DataConfig
from swinkit.data.splits import HasPath
from swinkit.errors import DataError
from swinkit.files import atomic_write
from swinkit.settings import Progress
from swinkit.task.base import Split
from swinkit.task.model import TaskModel

WIDEST_PERCENT = len("100.0%")


class HasSource(Protocol):
    """A result of any task."""

    @property
    def source(self) -> str | None: ...


Sample = TypeVar("Sample", bound=HasPath)
Result = TypeVar("Result", bound=HasSource)


def choose_samples(
    model: TaskModel[Any],
    data: Any,
    split: Split | None,
    *,
    load: Callable[..., Any],
    load_samples: Callable[..., tuple[list[Any], Any]],
) -> list[Any]:
    """The samples that `data` and `split` mean, their labels in the order of the model's classes.

    Args:
        model: names the classes, or at least their number.
        data: a path, settings, the task's splits or a sequence of its samples.
        split: which part of splits; None takes the test split, else the validation split.
        load, load_samples: the task's readers of settings and of a path.

    Raises:
        DataError: no such data or split, no sample, or other classes than the model's.
    """
    names = model.info.class_names
    if isinstance(data, (str, Path)):
        data, loaded = load_samples(data, names, split=split)
        _check_names(loaded.class_names, model)
    elif isinstance(data, DataConfig):
        data = load(data, names)
    if not isinstance(data, Sequence):
        _check_names(data.class_names, model)
        splits = data.by_name()
        chosen = split or ("test" if "test" in splits else "val")
        if chosen not in splits:
            raise DataError(f"the data has no {chosen} split, only {', '.join(splits)}")
        data = splits[chosen]
    samples = list(data)
    if not samples:
        raise DataError("no image to evaluate on; choose another split or check the data")
    return samples


def with_samples(
    results: Iterable[Result], samples: Sequence[Sample], progress: Progress | None
) -> Iterator[tuple[Sample, Result]]:
    """Each result beside the sample whose image it is of.

    Args:
        results: of some of the samples' images, one by one.
        progress: called with (images done, all) when a pair has been dealt with.
    """
    by_source = {str(sample.path): sample for sample in samples}
    for number, result in enumerate(results, start=1):
        yield by_source[str(result.source)], result
        if progress is not None:
            progress(number, len(samples))


class MeanLoss(Metric):
    """Mean over images of batch means; NaN stays NaN.

    torchmetrics' MeanMetric forgets its weights where NaN handling is off (1.9, aggregation.py),
    so a small last batch would count as much as a full one.
    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, *, sync_on_compute: bool = True) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        zero = torch.tensor(0.0, dtype=torch.float64)
        self.add_state("total", default=zero, dist_reduce_fx="sum")
        self.add_state("images", default=zero.clone(), dist_reduce_fx="sum")

    def update(self, mean: Tensor, images: int) -> None:
        """Add a batch's mean loss over that many images."""
        self.total += mean.double() * images
        self.images += images

    def compute(self) -> Tensor:
        """The mean over all images so far, of all processes."""
        return self.total / self.images


def write_numbers(
    folder: Path, numbers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """report.json of all numbers and per_class.csv, a row per class.

    Raises:
        SwinkitError: the system refuses.
    """
    with atomic_write(folder / "report.json") as temporary:
        text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text, encoding="utf-8")
    with (
        atomic_write(folder / "per_class.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def finite(value: float) -> float | None:
    """None instead of NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)


def percent(value: float | None) -> str:
    """Such as 12.3%; a hyphen where there is no number."""
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"


def _check_names(data: tuple[str, ...], model: TaskModel[Any]) -> None:
    names = model.class_names
    named = model.info.class_names is not None
    if data == names or (not named and len(data) == len(names)):
        return
    raise DataError(
        f"the data has the {len(data)} classes {', '.join(data[:5])}, the model the {len(names)} "
        f"classes {', '.join(names[:5])}; evaluate on data with the model's classes"
    )
