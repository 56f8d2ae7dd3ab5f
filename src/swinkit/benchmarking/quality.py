"""How good the answers of a contender are, on labeled images."""

from pathlib import Path
from typing import Any

from swinkit.benchmarking.contenders import Run
from swinkit.exporting.quantize import agreement, calibration_images
from swinkit.inference import measure
from swinkit.task.model import TaskModel


def quality(model: TaskModel[Any], run: Run, data: Path) -> tuple[float, dict[str, float]]:
    """Share of the answers that PyTorch gives in float32, and the metrics.

    Args:
        run: takes the images in the model's place.
    """
    same = agreement(model, run, calibration_images(model, data))
    before, model.runner = model.runner, (None if run is model else run)
    try:
        report, _ = measure(model, data)
    finally:
        model.runner = before
    return same, report.numbers()
