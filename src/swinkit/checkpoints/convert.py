"""`swinkit convert`: the same weights in another package's names and files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.buffers import derived_buffers
from swinkit.checkpoints.expressible import differences, obstacles
from swinkit.checkpoints.huggingface import HUGGINGFACE, HUGGINGFACE_BACKBONE
from swinkit.checkpoints.huggingface_config import model_config, processor_config
from swinkit.checkpoints.infer_window import SizeHW
from swinkit.checkpoints.keymap import Source, Tensors
from swinkit.checkpoints.load import load
from swinkit.checkpoints.microsoft import DETECTION_FORK, MICROSOFT
from swinkit.checkpoints.mmdet import MMDET
from swinkit.checkpoints.native import header_of, native_tensors, save, write_safetensors
from swinkit.checkpoints.report import ConvertReport, LoadReport
from swinkit.checkpoints.timm import TIMM
from swinkit.checkpoints.torchvision import TORCHVISION
from swinkit.checkpoints.translation import write
from swinkit.errors import CheckpointError
from swinkit.files import atomic_write
from swinkit.images.preprocessing import Preprocessing
from swinkit.models.classifier import SwinClassifier

Layout = Literal["native", "microsoft", "timm", "torchvision", "huggingface", "mmdet", "mmseg"]
Model = SwinClassifier | SwinBackbone

_ATTENTION = {"mmdet": "attn.w_msa", "huggingface": "attention.self"}


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
        to: layout of the result. "mmdet" and "mmseg" are the same backbone.
        image_size, window_size, pretrained_window_size, strict: see `load`.
        report: called with the ConvertReport; None keeps quiet.

    Raises:
        CheckpointError: the source cannot be read, or the target cannot express the model.
    """
    if to not in get_args(Layout):
        raise CheckpointError(f"layout {to!r} is unknown; choose {', '.join(get_args(Layout))}")
    loaded: LoadReport | None = None
    if isinstance(source, (SwinClassifier, SwinBackbone)):
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


def export_tensors(
    model: Model, to: Layout, image_hw: SizeHW, account: ConvertReport | None = None
) -> Tensors:
    """The model's tensors and the target's persistent buffers under the target's names.

    Raises:
        CheckpointError: the target cannot express the model; says why.
    """
    family = layout_of(model, to)
    blocked = obstacles(family, model.config, image_hw)
    if blocked:
        raise CheckpointError(f"{family.title} cannot express this model: {'; '.join(blocked)}")
    tensors = native_tensors(model)
    written = write(family, tensors, model.config.version)
    row = next(entry for entry in family.entries if "{block}" in entry.foreign[0])
    buffers: Tensors = {}
    if not (family.name.startswith("huggingface") and model.config.version == 2):
        attention = _ATTENTION.get(family.name.removesuffix("-backbone"), "attn")
        buffers = derived_buffers(family, model.config, image_hw, attention, row.step, row.first)
    prefix = _prefix(family, model)
    named = {
        name if _beside(family, name) else prefix + name: value.contiguous()
        for name, value in {**written, **buffers}.items()
    }
    if account is not None:
        account.written, account.derived = len(written), len(buffers)
        account.notes += differences(family, model.config, image_hw)
    return named


def layout_of(model: Model, to: Layout) -> Source:
    """The table for this model: packages name backbones with several norms otherwise."""
    several = not set(model.config.norm_stages) <= {model.config.num_stages - 1}
    if to == "microsoft":
        return DETECTION_FORK if several else MICROSOFT
    if to == "huggingface":
        return HUGGINGFACE_BACKBONE if several else HUGGINGFACE
    return {"timm": TIMM, "torchvision": TORCHVISION, "mmdet": MMDET, "mmseg": MMDET}[to]


def _prefix(family: Source, model: Model) -> str:
    if family is MMDET:
        return "backbone."
    if family is HUGGINGFACE and isinstance(model, SwinClassifier):
        return "swin." if model.config.version == 1 else "swinv2."
    return ""


def _beside(family: Source, name: str) -> bool:
    heads = {entry.foreign[0].split(".")[0] for entry in family.entries if entry.outer}
    return name.split(".")[0] in heads


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
    preprocessing = model.info.fixed_size if isinstance(model, SwinClassifier) else None
    image_hw = _image_hw(model, preprocessing, image_size)
    tensors = export_tensors(model, to, image_hw, account)
    family = layout_of(model, to)
    if to == "huggingface":
        _write_folder(model, path, tensors, image_hw, preprocessing)
    elif path.suffix == ".safetensors":
        write_safetensors(tensors, path, header_of(model))
    elif path.suffix in (".pth", ".pt"):
        content: Any = {family.wrapper: tensors} if family.wrapper else tensors
        with atomic_write(path) as temporary:
            _torch_save(content, temporary)
    else:
        raise CheckpointError(f"{path}: give the target a name in .safetensors or .pth")


def _image_hw(
    model: Model, preprocessing: Preprocessing | None, image_size: int | tuple[int, int] | None
) -> SizeHW:
    if isinstance(image_size, int):
        return image_size, image_size
    if image_size is not None:
        return image_size
    if preprocessing is not None:
        return preprocessing.size_hw
    config = model.config
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


def _write_folder(
    model: Model,
    path: Path,
    tensors: Tensors,
    image_hw: SizeHW,
    preprocessing: Preprocessing | None,
) -> None:
    if path.suffix in (".safetensors", ".pth", ".pt"):
        raise CheckpointError(f"{path}: transformers wants a folder; leave the suffix off")
    several = layout_of(model, "huggingface") is HUGGINGFACE_BACKBONE
    classifier = isinstance(model, SwinClassifier)
    head = "ForImageClassification" if classifier else ("Backbone" if several else "Model")
    config = model_config(
        model.config,
        image_hw,
        head=head,
        num_classes=model.head.fc.out_features if isinstance(model, SwinClassifier) else None,
        class_names=model.class_names if isinstance(model, SwinClassifier) else None,
    )
    processor = processor_config(preprocessing or Preprocessing.for_size(image_hw))
    write_safetensors(tensors, path / "model.safetensors", header_of(model))
    for name, values in (("config.json", config), ("preprocessor_config.json", processor)):
        with atomic_write(path / name) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
