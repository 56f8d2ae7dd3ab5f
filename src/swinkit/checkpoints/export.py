"""A model's tensors under another package's names."""

from typing import Any, Literal

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.buffers import derived_buffers
from swinkit.checkpoints.export_heads import head_obstacles, written_heads
from swinkit.checkpoints.expressible import differences, obstacles
from swinkit.checkpoints.huggingface import HUGGINGFACE, HUGGINGFACE_BACKBONE
from swinkit.checkpoints.keymap import Source, Tensors
from swinkit.checkpoints.microsoft import DETECTION_FORK, MICROSOFT
from swinkit.checkpoints.mmdet import MMDET
from swinkit.checkpoints.native import Model, header_of, native_tensors
from swinkit.checkpoints.report import ConvertReport
from swinkit.checkpoints.timm import TIMM
from swinkit.checkpoints.torchvision import TORCHVISION
from swinkit.checkpoints.translation import write
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError
from swinkit.settings import SizeHW

Layout = Literal["native", "microsoft", "timm", "torchvision", "huggingface", "mmdet", "mmseg"]

_ATTENTION = {"mmdet": "attn.w_msa", "huggingface": "attention.self"}


def backbone_config(model: Model) -> SwinConfig:
    """The backbone's configuration of any model."""
    return model.config if isinstance(model.config, SwinConfig) else model.config.backbone


def export_tensors(
    model: Model, to: Layout, image_hw: SizeHW, account: ConvertReport | None = None
) -> Tensors:
    """The model's tensors and the target's persistent buffers under the target's names.

    Raises:
        CheckpointError: the target cannot express the model; says why.
    """
    family, config = layout_of(model, to), backbone_config(model)
    blocked = head_obstacles(model.config, to) or obstacles(family, config, image_hw)
    if blocked:
        raise CheckpointError(f"{family.title} cannot express this model: {'; '.join(blocked)}")
    tensors = native_tensors(model)
    heads: Tensors = {}
    if not isinstance(model.config, SwinConfig):
        own = model.backbone.state_dict()
        heads = written_heads(
            {name: value for name, value in tensors.items() if name not in own}, model.config, to
        )
        tensors = {name: value for name, value in tensors.items() if name in own}
    written = write(family, tensors, config.version)
    buffers = _buffers(family, config, image_hw)
    prefix = _prefix(family, model)
    named = {
        name if not heads and _beside(family, name) else prefix + name: value.contiguous()
        for name, value in {**written, **buffers}.items()
    }
    if account is not None:
        account.written, account.derived = len(written) + len(heads), len(buffers)
        account.notes += differences(family, config, image_hw)
    return {**named, **heads}


def layout_of(model: Model, to: Layout) -> Source:
    """The table for this model's backbone: packages name those with several norms otherwise."""
    config = backbone_config(model)
    several = not set(config.norm_stages) <= {config.num_stages - 1}
    if to == "microsoft":
        return DETECTION_FORK if several else MICROSOFT
    if to == "huggingface":
        return HUGGINGFACE_BACKBONE if several else HUGGINGFACE
    return {"timm": TIMM, "torchvision": TORCHVISION, "mmdet": MMDET, "mmseg": MMDET}[to]


def wrapped(model: Model, to: Layout, tensors: Tensors) -> dict[str, Any]:
    """What a .pth file of the target holds.

    Beside a detector's or segmenter's weights stand the class names, as OpenMMLab writes them, and
    swinkit's own header, which OpenMMLab passes over.
    """
    family = layout_of(model, to)
    content: dict[str, Any] = {family.wrapper: tensors} if family.wrapper else dict(tensors)
    if isinstance(model.config, SwinConfig):
        return content
    meta: dict[str, Any] = dict(header_of(model))
    names = model.info.class_names
    if names is not None:
        meta |= {"CLASSES": names} if to == "microsoft" else {"dataset_meta": {"classes": names}}
    return {"meta": meta, **content}


def _buffers(family: Source, config: SwinConfig, image_hw: SizeHW) -> Tensors:
    if family.name.startswith("huggingface") and config.version == 2:
        return {}
    row = next(entry for entry in family.entries if "{block}" in entry.foreign[0])
    attention = _ATTENTION.get(family.name.removesuffix("-backbone"), "attn")
    return derived_buffers(family, config, image_hw, attention, row.step, row.first)


def _prefix(family: Source, model: Model) -> str:
    if family is MMDET or not isinstance(model.config, SwinConfig):
        return "backbone."
    if family is HUGGINGFACE and isinstance(model, SwinClassifier):
        return "swin." if model.config.version == 1 else "swinv2."
    return ""


def _beside(family: Source, name: str) -> bool:
    heads = {entry.foreign[0].split(".")[0] for entry in family.entries if entry.outer}
    return name.split(".")[0] in heads
