"""Where the numbers and pictures of a run go beside its folder: Lightning's loggers, by name."""

import importlib.util
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from PIL import Image

from swinkit.errors import ConfigError, TrainingError
from swinkit.settings import flat

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}  # that a tracker needs beside swinkit's own
PROJECT = "swinkit"
LOGGED_SIDE = 1024  # longest side of a picture in TensorBoard; the run folder has it whole


def check_trackers(names: Iterable[str]) -> None:
    """Refuse a tracker whose package is not installed. Raises ConfigError."""
    for name in names:
        package = PACKAGES.get(name)
        if package is not None and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"the logger {name} needs a package that is not installed: "
                f"pip install 'swinkit[{name}]', or choose another logger"
            )


def build_trackers(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any], *, steps_done: int
) -> list[Logger]:
    """The loggers of a run.

    Args:
        names: of `RuntimeConfig.logger`.
        folder: of the run; its name is that of the run in W&B and MLflow.
        settings: of the run, as plain values.
        steps_done: by an earlier sitting; what TensorBoard has of later steps is left out.

    Raises:
        TrainingError: one that cannot start.
    """
    trackers = []
    for name in names:
        try:
            trackers.append(_build(name, folder, steps_done))
            if name in PACKAGES:
                trackers[-1].log_hyperparams(flat(settings))
        except Exception as error:  # no account, no connection: whatever the package raises
            raise TrainingError(
                f"the logger {name} cannot start: {error}; mend that or choose another logger"
            ) from error
    return trackers


def _build(name: str, folder: Path, steps_done: int) -> Logger:
    if name == "tensorboard":
        return TensorBoardLogger(folder, name=name, version="", purge_step=steps_done + 1)
    if name == "csv":
        return CSVLogger(folder, name=name, flush_logs_every_n_steps=1)
    if name == "wandb":
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        return WandbLogger(project=project, name=folder.name, save_dir=folder)
    address, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
    if address is None:
        address, artifacts = f"sqlite:///{folder}/mlflow.db", str((folder / "mlflow").absolute())
    return MLFlowLogger(
        PROJECT, run_name=folder.name, tracking_uri=address, artifact_location=artifacts
    )


def log_numbers(trackers: Iterable[Logger], numbers: Mapping[str, float], step: int) -> None:
    """Numbers at an optimizer step."""
    for tracker in trackers:
        tracker.log_metrics(dict(numbers), step)


def log_pictures(trackers: Iterable[Logger], pictures: Mapping[str, Path], step: int) -> None:
    """Pictures by name; a file that is not there is left out, as are the trackers of numbers."""
    there = {name: path for name, path in pictures.items() if path.is_file()}
    for tracker in trackers:
        for name, path in there.items():
            if isinstance(tracker, TensorBoardLogger):
                with Image.open(path) as image:
                    shown = image.convert("RGB")
                shown.thumbnail((LOGGED_SIDE, LOGGED_SIDE))
                pixels = np.asarray(shown)
                tracker.experiment.add_image(name, pixels, step, dataformats="HWC")
            elif isinstance(tracker, WandbLogger):
                tracker.log_image(name, [str(path)], step=step)
            elif isinstance(tracker, MLFlowLogger):
                assert tracker.run_id is not None
                tracker.experiment.log_artifact(tracker.run_id, str(path), "pictures")


def close_trackers(trackers: Iterable[Logger], status: str) -> None:
    """Write what is still held back; W&B's run would go on until the process ends."""
    for tracker in trackers:
        tracker.finalize(status)
        if isinstance(tracker, WandbLogger):
            tracker.experiment.finish(exit_code=0 if status == "success" else 1)
