"""The folder of a run: what lies in it, and how it is written."""

import csv
import json
import logging
import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from swinkit.errors import SwinkitError, TrainingError
from swinkit.files import atomic_write
from swinkit.task.train_config import TrainConfig
from swinkit.training.processes import Processes

Row = dict[str, float]


class RunFolder:
    """Paths in the folder of a run, and its text files.

    config.yaml, results.csv, curves.png, batch_preview.png, best.safetensors, last.safetensors,
    resume.ckpt, log.txt, tensorboard/; after the last epoch val/ (and test/) with the task's
    report and pictures, and summary.json.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.results = self.path / "results.csv"
        self.curves = self.path / "curves.png"
        self.preview = self.path / "batch_preview.png"
        self.best = self.path / "best.safetensors"
        self.last = self.path / "last.safetensors"
        self.resume = self.path / "resume.ckpt"
        self.log = self.path / "log.txt"
        self.summary = self.path / "summary.json"

    @classmethod
    def create(cls, wanted: Path) -> "RunFolder":
        """Make the folder, or the first free one of wanted-2, wanted-3, …

        Raises:
            SwinkitError: the system refused.
        """
        stem = re.sub(r"-\d+$", "", wanted.name) if wanted.exists() else wanted.name
        number = 1
        folder = wanted
        while True:
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
                folder = wanted.with_name(f"{stem}-{number}")
            except OSError as error:
                raise SwinkitError(
                    f"cannot make the run folder {folder}: {error.strerror}; choose another "
                    "runtime.out"
                ) from error
            else:
                return cls(folder)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run that can go on.

        Raises:
            TrainingError: no run there.
        """
        folder = cls(path)
        if not folder.config.is_file():
            raise TrainingError(
                f"cannot resume {path}: it has no config.yaml; name the folder of a run"
            )
        return folder

    def write_results(self, rows: list[Row]) -> None:
        """Write results.csv anew, one line per epoch. Raises SwinkitError where refused.

        The columns are those of all rows; a column that a row lacks stays empty in it.
        """
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic_write(self.results) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def write_json(self, path: Path, values: dict[str, Any]) -> None:
        """Write a JSON file atomically. Raises SwinkitError where refused."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2), encoding="utf-8")

    def log_handler(self) -> logging.Handler:
        """Appends what the loggers of swinkit say, with the time, to log.txt."""
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler


def open_folder(config: TrainConfig, processes: Processes) -> RunFolder:
    """The folder of the resumed run, or a new one with the settings in it."""
    if config.runtime.resume is not None:
        return RunFolder(config.runtime.resume)
    path = config.runtime.out
    if processes.rank == 0:
        folder = RunFolder.create(path)
        path = folder.path
        config.save(folder.config)
    return RunFolder(processes.shared(path))


def read_results(path: str | Path) -> list[Row]:
    """The rows of a results.csv, without their empty places."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [
            {name: float(value) for name, value in row.items() if value != ""}
            for row in csv.DictReader(file)
        ]


class StateFile(TorchCheckpointIO):
    """Lightning's state on disk: written whole or not at all, read without running its code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Raises SwinkitError where the system refuses the write."""
        with atomic_write(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # A full disk reaches Python as a RuntimeError of the zip writer.
                raise OSError(None, str(error).splitlines()[0]) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises TrainingError for a missing, damaged or unsafe file."""
        advice = "start again, or from last.safetensors with model.weights"
        if not Path(path).is_file():
            raise TrainingError(f"{path} is missing, so this run cannot go on; {advice}")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            reason = str(error).splitlines()[0][:120]
            raise TrainingError(f"{path} cannot be read safely ({reason}); {advice}") from error
        if not isinstance(state, dict) or not {"loops", "callbacks"} <= set(state):
            raise TrainingError(f"{path} is no state of a swinkit run; {advice}")
        return state
