"""swinkit's own files: safetensors whose header holds the architecture and how to use it."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import CheckpointError
from swinkit.files import atomic_write
from swinkit.models.classifier import SwinClassifier

FORMAT_VERSION = 1
HEADER = "swinkit"


def native_tensors(model: SwinClassifier | SwinBackbone) -> dict[str, Tensor]:
    """The model's tensors by native name without the `backbone.` prefix, on the CPU."""
    return {
        name.removeprefix("backbone."): value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }


def save(model: SwinClassifier | SwinBackbone, path: str | Path) -> Path:
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


def header_of(model: SwinClassifier | SwinBackbone) -> dict[str, str]:
    """Metadata of a .safetensors file: the architecture, and how to use the model."""
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "config": model.config.to_dict(),
        "num_classes": None,
        "info": None,
    }
    if isinstance(model, SwinClassifier):
        header["num_classes"] = model.head.fc.out_features
        header["info"] = model.info.to_dict()
    return {HEADER: json.dumps(header)}


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


def read_header(metadata: dict[str, str], where: str) -> dict[str, Any] | None:
    """The header that `save` wrote, or None for a file without one.

    Raises:
        CheckpointError: damaged, or written by a newer swinkit.
    """
    if HEADER not in metadata:
        return None
    try:
        header = json.loads(metadata[HEADER])
        version = int(header["format_version"])
        header["config"] = SwinConfig.from_dict(header["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: its swinkit header is damaged ({error})") from error
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{where} has format {version}, newer than {FORMAT_VERSION}; update swinkit"
        )
    return dict(header)
