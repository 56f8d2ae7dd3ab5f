"""The folder of a run: what lies in it, and how it is written."""

import contextlib
import csv
import errno
import json
import logging
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from swinkit.errors import SwinkitError, TrainingError
from swinkit.files import atomic_write
from swinkit.parsing import reason_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Row = dict[str, float]
STATE = {"loops", "callbacks", "state_dict", "global_step"}  # what Lightning's must hold
LEAST_SPACE = 16 << 20  # bytes; PyTorch writes in pieces and tells no reason


class RunFolder:
    """Paths in the folder of a run, and its text files.

    config.yaml, results.csv, curves.png, batch_preview.png, val_preview.png of tasks that have one,
    best.safetensors, last.safetensors, resume.ckpt, log.txt, tensorboard/, run.lock while a process
    trains; after the last epoch val/ (and test/) with the task's report and pictures, and
    summary.json.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.results = self.path / "results.csv"
        self.curves = self.path / "curves.png"
        self.preview = self.path / "batch_preview.png"
        self.validation = self.path / "val_preview.png"
        self.best = self.path / "best.safetensors"
        self.last = self.path / "last.safetensors"
        self.resume = self.path / "resume.ckpt"
        self.log = self.path / "log.txt"
        self.summary = self.path / "summary.json"
        self.lock = self.path / "run.lock"

    @classmethod
    def create(cls, wanted: Path) -> "RunFolder":
        """Make the folder, or the first free one of wanted-2, wanted-3, …

        Raises:
            SwinkitError: the system refused.
        """
        stem = re.sub(r"-\d+$", "", wanted.name) if os.path.exists(wanted) else wanted.name
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
        """A run that can go on: either has its state or has not come that far.

        Raises:
            TrainingError: results without a state.
        """
        folder = cls(path)
        results = [file for file in (folder.results, folder.best, folder.last) if file.exists()]
        if results and not folder.resume.is_file():
            raise TrainingError(
                f"cannot resume {path}: it has {results[0].name} but no resume.ckpt, and starting "
                "over would overwrite what is there; start a new run, perhaps from "
                "last.safetensors with model.weights"
            )
        return folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing here; the lock dies with the process.

        A record lock, not `flock`: processes that read images would inherit that one and hold it
        for seconds after a kill.

        Raises:
            TrainingError: another process has the lock.
            SwinkitError: the system refuses to write here.
        """
        handle = self._lock()
        try:
            yield
        finally:
            self.lock.unlink(missing_ok=True)
            os.close(handle)

    def _lock(self) -> int:
        while True:
            try:
                handle = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise SwinkitError(f"cannot write {self.lock}: {reason_of(error)}") from error
            try:
                if fcntl is not None:
                    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                # Other reasons: a file system without locks.
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    holder = os.read(handle, 20).decode("ascii", "replace").strip()
                    os.close(handle)
                    raise TrainingError(
                        f"another process{holder and f' ({holder})'} trains in {self.path}; wait "
                        "until it ends, or stop it"
                    ) from error
            # Another process may have removed the file, which was its own, since it was opened.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self.lock.stat()):
                    os.ftruncate(handle, 0)
                    os.write(handle, str(os.getpid()).encode())
                    return handle
            os.close(handle)

    def remove_leftovers(self) -> None:
        """Remove the temporary files that killed processes left; only with the lock held."""
        for file in self.path.rglob(".*.tmp*"):
            file.unlink(missing_ok=True)

    def check_there(self) -> None:
        """Raises TrainingError where the folder was deleted or moved: writing would make half a
        folder anew."""
        if not self.config.is_file():
            raise TrainingError(
                f"{self.path} is gone: it was deleted or moved during the run; start the run again"
            )

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
        try:
            handler = _LogFile(self.log, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SwinkitError(f"cannot write {self.log}: {reason_of(error)}") from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler


class _LogFile(logging.FileHandler):
    """A full disk costs lines of the log, not the run, and prints no tracebacks."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without the line."""

    def close(self) -> None:
        """Lines that no longer fit are lost."""
        with contextlib.suppress(OSError):
            super().close()


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
                space = shutil.disk_usage(temporary.parent).free
                code = errno.ENOSPC if space < LEAST_SPACE else errno.EIO
                raise OSError(code, os.strerror(code)) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises TrainingError for a missing, damaged or unsafe file."""
        advice = "start again, or from last.safetensors by --weights"
        if not os.path.isfile(path):
            raise TrainingError(f"{path} is missing, so this run cannot go on; {advice}")
        size = os.path.getsize(path)
        if size == 0:
            raise TrainingError(f"{path} is empty (0 bytes), so this run cannot go on; {advice}")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            kind = "is torn" if not zipfile.is_zipfile(path) else "cannot be read safely"
            reason = shorten(reason_of(error), 120, placeholder="…")
            raise TrainingError(f"{path} ({size} bytes) {kind}: {reason}; {advice}") from error
        if not isinstance(state, dict) or not set(state) >= STATE:
            raise TrainingError(f"{path} is no state of a swinkit run; {advice}")
        return state
