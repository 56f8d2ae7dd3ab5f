"""swinkit's own files: safetensors whose header holds the architecture and how to use it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import CheckpointError, ConfigError, SwinkitError
from swinkit.files import atomic_write
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.parsing import integer, mapping, number, parse_json
from swinkit.registry import task_weights
from swinkit.settings import to_plain
from swinkit.task.model import ModelInfo, TaskModel
from swinkit.task.weights import TaskConfig

Model: TypeAlias = TaskModel[Fit] | TaskModel[Preprocessing] | SwinBackbone

# 2 added detectors and segmenters, 3 masked image models; backbones and classifiers are still
# written as 1.
FORMAT_VERSION = 3
FIRST_VERSION = 1
HEADER = "swinkit"
BACKBONE = "backbone"  # what the header calls the task of a bare one


@dataclass(frozen=True, kw_only=True)
class Header:
    """What `save` writes beside the tensors.

    Attributes:
        backbone: its architecture.
        task: None for a bare backbone; then so are the others.
        config: of the whole model.
        info: class names, preprocessing, metrics, provenance.
    """

    backbone: SwinConfig
    task: str | None = None
    config: TaskConfig | None = None
    info: ModelInfo | None = None


def save(model: Model, path: str | Path) -> Path:
    """Write a model to one .safetensors file that `swinkit.load` restores, ready to predict.

    The header holds the architecture, class names, preprocessing, metrics and provenance. The
    file appears whole or not at all; an earlier one stays until then.

    Raises:
        CheckpointError: the path does not end in .safetensors.
        SwinkitError: the system refused the write.

    Example:
        >>> import swinkit, tempfile
        >>> model = swinkit.create_model("swin_nano", class_names=["cat", "dog"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = swinkit.save(model, f"{folder}/pets.safetensors")
        ...     swinkit.load(path, report=None).class_names
        ('cat', 'dog')
    """
    path = Path(path)
    check_suffix(path)
    write_safetensors(state_on_cpu(model), path, header_of(model))
    return path


def check_suffix(path: Path) -> None:
    """Refuse names that do not show what the file is. Raises CheckpointError."""
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: swinkit's own files end in .safetensors; rename it")


def backbone_of(model: Model) -> SwinBackbone:
    """The backbone of any model."""
    backbone = model.get_submodule("backbone") if isinstance(model, TaskModel) else model
    assert isinstance(backbone, SwinBackbone)
    return backbone


def state_on_cpu(model: Model) -> dict[str, Tensor]:
    """The model's tensors by native name.

    Raises:
        CheckpointError: a model that runs an exported file.
    """
    if isinstance(model, TaskModel):
        model.need_weights()
    return {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}


def header_of(model: Model, info: ModelInfo | None = None) -> dict[str, str]:
    """Metadata of a file: the architecture, and how to use the model.

    Args:
        info: in place of the model's own.
    """
    header: dict[str, Any] = {
        "format_version": FIRST_VERSION,
        "task": BACKBONE,
        "config": None,
        "num_classes": None,
        "info": None,
    }
    if isinstance(model, TaskModel):
        header["format_version"] = task_weights(model.task).format_version
        header["task"] = model.task
        header["num_classes"] = model.num_classes
        header["info"] = (info or model.info).to_dict()
    header["config"] = to_plain(model.config)
    return {HEADER: json.dumps(header)}


def read_header(metadata: Mapping[str, str], origin: str) -> Header | None:
    """The header that `save` wrote, or None for a file without one.

    Raises:
        CheckpointError: damaged, or written by a newer swinkit.
    """
    if HEADER not in metadata:
        return None
    values = parse_json(metadata[HEADER], f"{origin}, swinkit's header", error=CheckpointError)
    version = integer(mapping(values).get("format_version"))
    if version is None:
        raise CheckpointError(
            f"{origin}: its swinkit header is damaged (format_version is no number); get the file "
            "again"
        )
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{origin} has format {version}, newer than {FORMAT_VERSION}; update swinkit"
        )
    try:
        task = values.get("task", BACKBONE)
        if task == BACKBONE:
            return Header(backbone=SwinConfig.from_dict(values["config"]))
        config = task_weights(task).read_config(values["config"], values["num_classes"])
        info = _checked(ModelInfo.from_dict(values["info"])) if values["info"] else None
        return Header(task=task, backbone=config.backbone, config=config, info=info)
    except (SwinkitError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as e:
        raise CheckpointError(f"{origin}: its swinkit header is damaged ({e})") from e


def _checked(info: ModelInfo) -> ModelInfo:
    """What a header says of a model, with fields of the right kinds. Raises ConfigError."""
    names = info.class_names
    if names is not None and not all(isinstance(name, str) for name in names):
        raise ConfigError("class_names must be text")
    metrics = {name: number(value) for name, value in mapping(info.metrics).items()}
    return replace(
        info,
        metrics={name: value for name, value in metrics.items() if value is not None},
        provenance={
            name: value
            for name, value in mapping(info.provenance).items()
            if isinstance(value, str)
        },
    )


def write_safetensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors atomically. Raises SwinkitError where the system refuses."""
    metadata = {"format": "pt", **(metadata or {})}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:
            # A full disk reaches Python as a SafetensorError around an I/O error.
            raise OSError(None, str(error)) from error
        _order_metadata(temporary)


def _order_metadata(path: Path) -> None:
    """Bring the metadata into order: safetensors writes them in a new one each time, and equal
    models should be equal files."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def write_pickle(content: dict[str, Any], path: Path) -> None:
    """Write a .pth file atomically. Raises SwinkitError where the system refuses."""
    with atomic_write(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:
            # torch reports a full disk as a RuntimeError from its zip writer.
            reason = "PyTorch could not finish the file, the disk may be full"
            raise OSError(None, reason) from error


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write a JSON file atomically. Raises SwinkitError where the system refuses."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
