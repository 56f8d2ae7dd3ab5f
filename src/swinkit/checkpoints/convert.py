"""`swinkit convert`: the same weights in another package's names and files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.export import (
    Layout,
    backbone_config,
    export_tensors,
    layout_of,
    wrapped,
)
from swinkit.checkpoints.export_heads import head_differences
from swinkit.checkpoints.huggingface import HUGGINGFACE_BACKBONE
from swinkit.checkpoints.huggingface_config import (
    model_config,
    processor_config,
    segmenter_processor_config,
    upernet_config,
)
from swinkit.checkpoints.keymap import Tensors
from swinkit.checkpoints.load import load
from swinkit.checkpoints.native import Model, header_of, save, write_safetensors
from swinkit.checkpoints.report import ConvertReport, LoadReport
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError
from swinkit.files import atomic_write
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.segmentation.config import SegmenterConfig
from swinkit.settings import SizeHW


def convert(
    source: str | Path | Mapping[str, Any] | Model,
    out: str | Path,
    *,
    to: Layout,
    image_size: int | tuple[int, int] | None = None,
    window_size: Any = None,
    pretrained_window_size: Any = None,
    strict: bool = False,
    report: Callable[[ConvertReport], object] | None = print,
) -> Path:
    """Write a checkpoint, or a model, for another package; bit-exact in both directions.

    A .safetensors file also carries swinkit's header, which other packages pass over: with it the
    way back restores what the layout itself does not tell, V2's window for example.

    Args:
        source: anything `load` takes, or a model.
        out: .safetensors or .pth file; for "huggingface" a folder that `from_pretrained` opens;
            for "native" a .safetensors file.
        to: layout of the result. "microsoft" means the official detection or segmentation fork
            for models with such heads; "mmdet" and "mmseg" name the backbone alike.
        image_size, window_size, pretrained_window_size, strict: see `load`.
        report: called with the ConvertReport; None keeps quiet.

    Raises:
        CheckpointError: the source cannot be read, or the target cannot express the model.
    """
    if to not in get_args(Layout):
        raise CheckpointError(f"layout {to!r} is unknown; choose {', '.join(get_args(Layout))}")
    loaded: LoadReport | None = None
    if isinstance(source, nn.Module):
        model: Model = source
    else:
        accounts: list[LoadReport] = []
        model = load(
            source,
            image_size=image_size,
            window_size=window_size,
            pretrained_window_size=pretrained_window_size,
            strict=strict,
            report=accounts.append,
        )
        loaded = accounts[0]
    origin = loaded.origin if loaded else "a model"
    account = ConvertReport(source=origin, target=str(out), layout=to, load=loaded)
    _export(model, Path(out), to, image_size, account)
    if report is not None:
        report(account)
    return Path(out)


def _export(
    model: Model,
    path: Path,
    to: Layout,
    image_size: int | tuple[int, int] | None,
    account: ConvertReport,
) -> None:
    if to == "native":
        account.written = len(model.state_dict())
        save(model, path)
        return
    image_hw = _image_hw(model, image_size)
    tensors = export_tensors(model, to, image_hw, account)
    account.notes += head_differences(model.config, to)
    if to == "huggingface":
        _write_folder(model, path, tensors, image_hw)
    elif path.suffix == ".safetensors":
        write_safetensors(tensors, path, header_of(model))
    elif path.suffix in (".pth", ".pt"):
        with atomic_write(path) as temporary:
            _torch_save(wrapped(model, to, tensors), temporary)
    else:
        raise CheckpointError(f"{path}: give the target a name in .safetensors or .pth")


def _image_hw(model: Model, image_size: int | tuple[int, int] | None) -> SizeHW:
    if isinstance(image_size, int):
        return image_size, image_size
    if image_size is not None:
        return image_size
    if isinstance(model, SwinClassifier) and isinstance(model.info.preprocessing, Preprocessing):
        return model.info.preprocessing.size_hw
    config = backbone_config(model)
    if config.absolute_position_hw is not None:
        height, width = config.absolute_position_hw
        return height * config.patch_size, width * config.patch_size
    # Without a stored size: the smallest that holds every window, as published models are built.
    side = max(
        max(window) * stride for window, stride in zip(config.windows, config.strides, strict=True)
    )
    return side, side


def _torch_save(content: Any, path: Path) -> None:
    try:
        torch.save(content, path)
    except RuntimeError as error:
        # torch reports a full disk as a RuntimeError from its zip writer.
        raise OSError(None, "PyTorch could not finish the file, the disk may be full") from error


def _write_folder(model: Model, path: Path, tensors: Tensors, image_hw: SizeHW) -> None:
    if path.suffix in (".safetensors", ".pth", ".pt"):
        raise CheckpointError(f"{path}: transformers wants a folder; leave the suffix off")
    config, processor = _folder_settings(model, image_hw)
    write_safetensors(tensors, path / "model.safetensors", header_of(model))
    for name, values in (("config.json", config), ("preprocessor_config.json", processor)):
        with atomic_write(path / name) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _folder_settings(model: Model, image_hw: SizeHW) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    if isinstance(model.config, SegmenterConfig):
        fit = model.info.preprocessing if not isinstance(model, SwinBackbone) else None
        return (
            upernet_config(model.config, image_hw, class_names=model.class_names),
            segmenter_processor_config(fit if isinstance(fit, Fit) else Fit()),
        )
    several = layout_of(model, "huggingface") is HUGGINGFACE_BACKBONE
    classifier = isinstance(model, SwinClassifier)
    head = "ForImageClassification" if classifier else ("Backbone" if several else "Model")
    config = model_config(
        backbone_config(model),
        image_hw,
        head=head,
        num_classes=model.num_classes if isinstance(model, SwinClassifier) else None,
        class_names=model.class_names if isinstance(model, SwinClassifier) else None,
    )
    known = model.info.preprocessing if isinstance(model, SwinClassifier) else None
    if not isinstance(known, Preprocessing):
        known = Preprocessing.for_size(image_hw)
    return config, processor_config(known)
