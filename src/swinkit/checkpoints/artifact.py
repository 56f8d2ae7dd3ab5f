"""Exported files as models: what stands beside the network in the file tells how to use it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from swinkit.checkpoints.save import HEADER, read_header
from swinkit.engines import EngineName, RunPrecision
from swinkit.errors import CheckpointError
from swinkit.registry import task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel

if TYPE_CHECKING:
    from swinkit.engines.base import Engine

SUFFIXES = frozenset({".onnx", ".xml"})
UNSAFE = ".pt2"


def is_artifact(source: object) -> bool:
    """Whether a source of weights is a file of `swinkit.export`, by its name.

    Raises:
        CheckpointError: a torch.export file, which PyTorch unpickles.
    """
    if not isinstance(source, (str, Path)):
        return False
    suffix = Path(source).suffix
    if suffix == UNSAFE and os.path.exists(source):
        raise CheckpointError(
            f"{source}: PyTorch unpickles such files, which could run code; if you trust it, use "
            "torch.export.load yourself"
        )
    return suffix in SUFFIXES


def load_artifact(path: str, image_hw: SizeHW | None = None) -> TaskModel[Any]:
    """A model that answers through an exported file.

    Args:
        image_hw: scale images of predictions to this; None takes the file's.

    Raises:
        CheckpointError: no such file, no export of swinkit, a torn one, or a bare backbone.
        ConfigError: the engine is not installed.
    """
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file; check the path")
    engine = open_engine(path)
    header = read_header(engine.metadata, path) if HEADER in engine.metadata else None
    if header is None:
        raise CheckpointError(f"{path} is no export of swinkit: it does not say how to use it")
    if header.task is None or header.config is None or header.info is None:
        raise CheckpointError(
            f"{path} holds a backbone without a classifier or other head; run it with its engine"
        )
    with torch.device("meta"):
        model = task_weights(header.task).build(header.config)
    model.info = header.info
    if image_hw is not None:
        model.set_image_size(image_hw[0])
    model.runner = runner_of(engine, model)
    model.file_engine = engine_of(path)
    return model.eval()


def engine_of(path: str) -> EngineName:
    """The name of a file's engine, by the file's."""
    return "onnxruntime" if Path(path).suffix == ".onnx" else "openvino"


def open_engine(path: str, precision: RunPrecision = "fp32") -> "Engine":
    """The engine of a file, by its name.

    Args:
        precision: of products in an OpenVINO file.
    """
    if engine_of(path) == "onnxruntime":
        from swinkit.engines.onnxruntime import OnnxRuntime

        return OnnxRuntime(path)
    from swinkit.engines.openvino import OpenVINO

    return OpenVINO(path, precision=precision)


def runner_of(engine: "Engine", model: TaskModel[Any]) -> Callable[..., Any]:
    """An engine in the place of a model's network."""
    return task_weights(model.task).runner(engine, model.config)
