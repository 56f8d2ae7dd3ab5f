"""How good the answers of a contender are, on labeled images."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.benchmarking.contenders import Run
from swinkit.exporting.quantize import calibration_images
from swinkit.inference import measure
from swinkit.task.model import TaskModel


def quality(model: TaskModel[Any], run: Run, data: Path) -> tuple[float, dict[str, float]]:
    """Share of images, or places, with the class that PyTorch gives in float32, and the metrics.

    Args:
        run: takes the images in the model's place.
    """

    def runner(images: Tensor, *rest: Any) -> Any:
        found = run(images)
        return found[0] if isinstance(found, tuple) else found

    same = total = 0
    with torch.inference_mode():
        for image in calibration_images(model, data):
            chosen = model(image).argmax(1)
            same += int((runner(image).argmax(1) == chosen).sum())
            total += chosen.numel()
    before, model.runner = model.runner, (None if run is model else runner)
    try:
        report, _ = measure(model, data)
    finally:
        model.runner = before
    return same / total, report.numbers()
