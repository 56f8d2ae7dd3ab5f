"""swinkit's own files: safetensors whose header holds the architecture and how to use it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.classification.model import SwinClassifier
from swinkit.detection.config import DetectorConfig
from swinkit.errors import CheckpointError, SwinkitError
from swinkit.files import atomic_write
from swinkit.segmentation.config import SegmenterConfig
from swinkit.task.info import ModelInfo

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector
    from swinkit.segmentation.model import SwinSegmenter

Model: TypeAlias = Union[SwinClassifier, SwinBackbone, "SwinDetector", "SwinSegmenter"]
AnyConfig = SwinConfig | DetectorConfig | SegmenterConfig

# 2 added detectors and segmenters; backbones and classifiers are still written as 1.
FORMAT_VERSION = 2
FIRST_VERSION = 1
HEADER = "swinkit"


@dataclass(frozen=True, kw_only=True)
class Header:
    """What `save` writes beside the tensors.

    Attributes:
        config: its kind tells the task.
        num_classes: of a classifier, None for a bare backbone.
        info: None for a bare backbone.
    """

    config: AnyConfig
    num_classes: int | None
    info: ModelInfo | None


def native_tensors(model: Model) -> dict[str, Tensor]:
    """The model's tensors by native name without the `backbone.` prefix, on the CPU."""
    return {
        name.removeprefix("backbone."): value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }


def save(model: Model, path: str | Path) -> Path:
    """Write a model to one .safetensors file that `swinkit.load` restores, ready to predict.

    The header holds the architecture, class names, preprocessing, metrics and provenance. The
    file appears whole or not at all; an earlier one stays until then.

    Raises:
        CheckpointError: the path does not end in .safetensors.
        SwinkitError: the system refused the write.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: swinkit's own files end in .safetensors; rename it")
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    write_safetensors(tensors, path, header_of(model))
    return path


def header_of(model: Model) -> dict[str, str]:
    """Metadata of a .safetensors file: the architecture, and how to use the model."""
    dense = not isinstance(model.config, SwinConfig)
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION if dense else FIRST_VERSION,
        "task": task_of(model.config, isinstance(model, SwinClassifier)),
        "config": model.config.to_dict(),
        "num_classes": None,
        "info": None,
    }
    if not isinstance(model, SwinBackbone):
        header["num_classes"] = len(model.class_names)
        header["info"] = model.info.to_dict()
    return {HEADER: json.dumps(header)}


def task_of(config: AnyConfig, classifier: bool) -> str:
    """The task, as `load` calls it."""
    if isinstance(config, DetectorConfig):
        return "detection"
    if isinstance(config, SegmenterConfig):
        return "segmentation"
    return "classification" if classifier else "backbone"


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


def read_header(metadata: Mapping[str, str], where: str) -> Header | None:
    """The header that `save` wrote, or None for a file without one.

    Raises:
        CheckpointError: damaged, or written by a newer swinkit.
    """
    if HEADER not in metadata:
        return None
    try:
        values = json.loads(metadata[HEADER])
        version = int(values["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: its swinkit header is damaged ({error})") from error
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{where} has format {version}, newer than {FORMAT_VERSION}; update swinkit"
        )
    kinds: dict[str, type[AnyConfig]] = {
        "detection": DetectorConfig,
        "segmentation": SegmenterConfig,
    }
    try:
        return Header(
            config=kinds.get(values.get("task", ""), SwinConfig).from_dict(values["config"]),
            num_classes=values["num_classes"],
            info=ModelInfo.from_dict(values["info"]) if values["info"] else None,
        )
    except (SwinkitError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{where}: its swinkit header is damaged ({error})") from error
