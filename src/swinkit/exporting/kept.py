"""Networks that were exported for this machine's own use, kept between runs."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from swinkit.checkpoints.save import HEADER, header_of, state_on_cpu
from swinkit.exporting.export import export
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import TaskModel

MOST_FILES = 8  # the latest stay


def kept_network(model: TaskModel[Any]) -> Path:
    """An ONNX file of the model, made where there is none yet.

    It takes the model's one image size, or any size where that is free. Files are named by the
    weights, the architecture and the versions that made them, and appear whole: two processes that
    make the same one do not harm each other.

    Raises:
        ConfigError: ONNX is not installed, or the model cannot be exported.
        SwinkitError: the system refused the write.
    """
    path = _folder() / f"{_key(model)}.onnx"
    if not path.exists():
        export(model, path, dynamic=not _one_size(model), verify=False)
        for files in ("*.onnx", "openvino/*.blob"):
            _forget_oldest(path.parent, files)
    with contextlib.suppress(OSError):  # the latest used is the last to go
        os.utime(path)
    return path


def is_kept(model: TaskModel[Any]) -> bool:
    """Whether the file of a model is there already."""
    return (_folder() / f"{_key(model)}.onnx").exists()


def _one_size(model: TaskModel[Any]) -> bool:
    return isinstance(model.preprocessing, Preprocessing)


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "swinkit" / "networks"


def _key(model: TaskModel[Any]) -> str:
    """Of what decides the numbers: weights, architecture, image size, versions."""
    from swinkit import __version__

    found = hashlib.sha256()
    header = json.loads(header_of(model)[HEADER])
    size = model.preprocessing.to_dict() if _one_size(model) else "any"
    found.update(json.dumps([header["config"], size, __version__, torch.__version__]).encode())
    for name, value in state_on_cpu(model).items():
        found.update(name.encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:32]


def _forget_oldest(folder: Path, files: str) -> None:
    def age(path: Path) -> float:
        with contextlib.suppress(OSError):  # another process removed it
            return path.stat().st_mtime
        return 0.0

    for path in sorted(folder.glob(files), key=age, reverse=True)[MOST_FILES:]:
        with contextlib.suppress(OSError):
            path.unlink()
