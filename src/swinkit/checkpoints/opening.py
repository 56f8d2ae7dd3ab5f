"""From any kind of source to tensors by foreign name, with what stands beside them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from swinkit.backbones.names import find_foreign
from swinkit.backbones.variants import VARIANTS
from swinkit.checkpoints.hub import fetch_hub, fetch_url, is_hub_id, is_url, sha256_of
from swinkit.checkpoints.published import PUBLISHED, PublishedWeights, published_of
from swinkit.checkpoints.sources import all_sources
from swinkit.checkpoints.sources.base import WeightFile
from swinkit.checkpoints.unpickling import load_pickle
from swinkit.errors import CheckpointError
from swinkit.parsing import mapping, read_json

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")
IN_FOLDER = (
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
# Models of several files: which of them holds a tensor.
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
MOST_SETTINGS = 64 << 20  # bytes; 21841 class names have two million
# Beside the sources' own keys: where other training programs keep the state dict.
COMMON_WRAPPERS = (
    "module",
    "net",
    "model_state_dict",
    "ema_state_dict",
    "params_ema",
    "params",
    "teacher",
    "student",
    "weights",
    "network",
    "state",
    "encoder",
)


def open_weights(
    source: str | Path | Mapping[str, object], *, endpoint: str | None = None
) -> WeightFile:
    """Open a state dict, a file, a folder, a published name, a URL or a hub id.

    Args:
        endpoint: base address of another Hugging Face hub.

    Raises:
        CheckpointError: nothing is there, or it cannot be read safely.
    """
    if isinstance(source, Mapping):
        file = WeightFile(tensors={}, origin="state dict")
        file.tensors = unwrap(source, file)
    elif isinstance(source, Path) or os.path.exists(source):
        file = _open_path(Path(source))
    elif source in PUBLISHED:
        file = _open_published(PUBLISHED[source], endpoint)
    elif is_url(source):
        path, note = fetch_url(source)
        file = _open_file(path)
        file.origin, file.name = source, source.split("#")[0].rsplit("/", 1)[-1]
        file.notes += note
    elif Path(source).suffix in SUFFIXES:
        raise CheckpointError(f"{source}: no such file; check the path")
    elif is_hub_id(source):
        file = _open_path(fetch_hub(source, files_beside(), endpoint=endpoint))
        file.origin = file.name = source
    else:
        raise CheckpointError(_unknown(source))
    _check_tensors(file)
    return file


def _unknown(source: str) -> str:
    """What to say of a name that nothing has; people bring names of other packages."""
    variant = VARIANTS.get(source) or find_foreign(source)
    names = () if variant is None else tuple(entry.name for entry in published_of(variant.name))
    if names:
        return f"{source} is the name of a network; its published weights are {', '.join(names)}"
    return (
        f"{source}: no such file or folder, and no published name (see `swinkit models`), URL "
        "or hub id (owner/name, where no folder here has the owner's name) either"
    )


def _open_published(entry: PublishedWeights, endpoint: str | None) -> WeightFile:
    if entry.hub_id:
        file = _open_path(fetch_hub(entry.hub_id, files_beside(), endpoint=endpoint))
    else:
        path, note = fetch_url(entry.url, need_hash=False)
        file = _open_file(path)
        file.notes += note
    file.origin = file.name = f"{entry.name} ({entry.hub_id or entry.url})"
    file.published = entry
    return file


def _open_path(path: Path) -> WeightFile:
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    if not path.is_dir():
        return _open_file(path)
    for name in (*IN_FOLDER, *INDICES):
        if (path / name).is_file():
            file = _open_shards(path / name) if name in INDICES else _open_file(path / name)
            file.origin, file.name = str(path), path.name
            file.beside = {name: _read_json(path / name) for name in files_beside()}
            return file
    raise CheckpointError(f"{path} holds none of {', '.join((*IN_FOLDER, *INDICES))}")


def _open_shards(index: Path) -> WeightFile:
    """All files that an index names.

    Raises:
        CheckpointError: one of them is missing, elsewhere, or lacks a tensor.
    """
    file = WeightFile(tensors={}, origin=str(index), name=index.name)
    places = mapping(_read_json(index).get("weight_map"))
    for name in shards_of(places, index):
        shard = _open_file(index.parent / name)
        file.metadata |= shard.metadata
        file.tensors |= shard.tensors
    missing = [name for name in places if name not in file.tensors]
    if missing:
        raise CheckpointError(
            f"{index} names {missing[0]}, which {places[missing[0]]} lacks; get the files again"
        )
    file.notes.append(f"{len(set(places.values()))} files, as {index.name} names them")
    return file


def shards_of(places: Mapping[Any, Any], index: Path) -> list[str]:
    """Names of the files of an index, which stand beside it. Raises CheckpointError."""
    names = list(dict.fromkeys(name for name in places.values() if isinstance(name, str)))
    if not names or any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index}: its weight_map names no files beside it; get it again")
    return names


def _open_file(path: Path) -> WeightFile:
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"{path} is no weight file; swinkit reads {', '.join(SUFFIXES)}")
    file = WeightFile(tensors={}, origin=str(path), name=path.name)
    try:
        file.sha256 = sha256_of(path)
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as reader:
                file.metadata = dict(reader.metadata() or {})
                file.tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
        else:
            file.tensors = unwrap(load_pickle(path), file)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is truncated or no safetensors file; download or copy it again"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    return file


def unwrap(content: Any, file: WeightFile) -> dict[str, Tensor]:
    """The state dict inside what training scripts save around it; EMA weights come first.

    Raises:
        CheckpointError: there is no mapping of tensors in it.
    """
    wrappers = _wrappers()
    while isinstance(content, Mapping):
        inside = [key for key in wrappers if isinstance(content.get(key), Mapping)]
        if not inside:
            break
        if len(inside) > 1:
            file.notes.append(f"the file holds {', '.join(inside)}; {inside[0]} is used")
        if isinstance(content.get("meta"), Mapping):
            meta = content["meta"]
            file.meta = {key: value for key, value in meta.items() if isinstance(key, str)}
        if "__author__" in content:
            file.notes.append("written for detectron2")
        content = content[inside[0]]
    tensors = {}
    if isinstance(content, Mapping):
        # Keys of other kinds may be nested without end, so nothing is written out of them.
        names = [key for key in content if isinstance(key, str)]
        tensors = {key: content[key] for key in names if torch.is_tensor(content[key])}
        others = [key for key in names if key not in tensors]
        if not tensors:
            _refuse_wrapped(file, others)
        if tensors and others:
            file.notes.append(f"entries that are no tensors left out: {', '.join(others[:5])}")
    if not tensors:
        raise CheckpointError(f"{file.origin} holds no tensors by name; expected a state dict")
    while tensors and all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors


def _refuse_wrapped(file: WeightFile, names: list[str]) -> None:
    listed = f" (it holds {', '.join(names[:8])})" if names else ""
    raise CheckpointError(
        f"{file.origin} holds no tensors by name{listed}; expected a state dict, take it out and "
        "save it alone"
    )


def files_beside() -> tuple[str, ...]:
    """Names of the JSON files that any source reads beside the weights."""
    names = (name for source in all_sources() for name in source.files_beside)
    return tuple(dict.fromkeys(names))


def _wrappers() -> list[str]:
    """Keys under which training programs keep the state dict, averaged weights first."""
    own = [key for source in reversed(all_sources()) for key in source.wrappers]
    return sorted(dict.fromkeys([*own, *COMMON_WRAPPERS]), key=lambda key: "ema" not in key)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_json(path, error=CheckpointError, most=MOST_SETTINGS)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds no settings by name; correct it or take it away")
    return values


def _check_tensors(file: WeightFile) -> None:
    """Refuse what is no plain array of finite numbers, before anything computes with it.

    Raises:
        CheckpointError: sparse, quantized or repeated without end, NaN or infinite.
    """
    for name, value in file.tensors.items():
        kind = _unusual(value)
        if kind:
            raise CheckpointError(
                f"{file.origin}: {name} is {kind}; save it as a plain tensor of numbers"
            )
        # Kinds of one byte know no isfinite.
        values = value.float() if value.itemsize == 1 else value
        if value.is_floating_point() and not torch.isfinite(values).all():
            raise CheckpointError(
                f"{file.origin}: {name} holds NaN or infinite values; the training that wrote "
                "it diverged, take an earlier checkpoint"
            )


def _unusual(value: Tensor) -> str | None:
    if value.layout != torch.strided or value.is_nested:
        return "a sparse tensor"
    if value.is_quantized or value.is_complex():
        return "a quantized tensor" if value.is_quantized else "a tensor of complex numbers"
    if value.device.type == "meta":
        return "a tensor without values"
    stored = value.untyped_storage().nbytes()
    return "a tensor larger than its memory" if value.numel() * value.itemsize > stored else None
