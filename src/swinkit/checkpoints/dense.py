"""Detectors and segmenters from files: configuration, classes, model, what it knows of itself."""

import re
from dataclasses import replace

from swinkit.checkpoints.building import fill
from swinkit.checkpoints.keymap import Tensors
from swinkit.checkpoints.provenance import dense_info
from swinkit.checkpoints.reading import Reading, take_heads
from swinkit.checkpoints.recorded import recorded_model, with_recorded
from swinkit.checkpoints.transfer import ChannelPolicy, Weights, moved_kernel
from swinkit.checkpoints.transfer_heads import move_head_classes
from swinkit.detection.checkpoint import infer_detector
from swinkit.detection.config import DetectorConfig
from swinkit.detection.model import SwinDetector
from swinkit.detection.variants import SIDES
from swinkit.errors import CheckpointError
from swinkit.images.fitting import Fit
from swinkit.segmentation.checkpoint import infer_segmenter
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import PAPER_FIT, SwinSegmenter

DenseConfig = DetectorConfig | SegmenterConfig

_STEM = "head.stem.0.conv.weight"


def build_dense(
    reading: Reading,
    weights: Weights,
    num_classes: int | None,
    image_hw: tuple[int, int] | None,
    channel_policy: ChannelPolicy,
) -> SwinDetector | SwinSegmenter:
    """The model of a file with heads.

    Args:
        weights: the backbone, already moved to the wanted window, size and channels.
        num_classes: another number of classes, or None.
        image_hw: wanted sides of the images that `predict` makes, or None.
        channel_policy: for a decoder that reads the image too.

    Raises:
        CheckpointError: heads that swinkit does not build, or that are incomplete.
    """
    heads, account = take_heads(reading), reading.account
    config = _config(reading, heads.tensors, weights)
    held = config.num_classes
    task = heads.family.task
    classes = move_head_classes(
        heads.tensors,
        task,
        held,
        num_classes,
        class_agnostic=_class_agnostic(config),
        report=account,
    )
    _move_stem(heads.tensors, weights.config.in_channels, channel_policy)
    config = replace(config, num_classes=classes)
    model: SwinDetector | SwinSegmenter
    if isinstance(config, DetectorConfig):
        model = SwinDetector.from_config(config)
    else:
        model = SwinSegmenter(config)
    fill(model, {**weights.tensors, **heads.tensors}, account, reading.where)
    _refuse_other_heads(reading, heads.tensors)
    fit = _fit(task, image_hw).for_channels(weights.config.in_channels)
    model.info = dense_info(reading, task, held, classes, fit)
    account.summary = describe_dense(config)
    return model


def _config(reading: Reading, tensors: Tensors, weights: Weights) -> DenseConfig:
    """From swinkit's own header where there is one, else inferred; the backbone as moved."""
    header, where = reading.header, reading.where
    if header is not None and isinstance(header.config, (DetectorConfig, SegmenterConfig)):
        return replace(header.config, backbone=weights.config)
    notes = reading.account.notes
    if reading.heads is not None and reading.heads.family.task == "segmentation":
        decoder = recorded_model(reading.opened.meta).get("decode_head")
        beside = decoder if isinstance(decoder, dict) else reading.opened.config
        scales = beside.get("pool_scales")
        return infer_segmenter(tensors, weights.config, notes, pool_scales=scales, where=where)
    last = takes_last_mask(reading.family.name, reading.opened.meta)
    config = infer_detector(tensors, weights.config, notes, last_mask=last, where=where)
    return with_recorded(config, reading.opened.meta, notes)


def takes_last_mask(source: str, meta: dict[str, object]) -> bool:
    """Whether HTC's masks come from the last stage alone, as mmdet 3 has it.

    mmdet's present names are those of its versions 2 and 3; the version that training wrote
    beside the weights decides, and without one the later.
    """
    if source != "mmdet":
        return False
    return not re.match(r"2\.", str(meta.get("mmdet_version", "")))


def _class_agnostic(config: DenseConfig) -> bool:
    return isinstance(config, DetectorConfig) and config.class_agnostic


def _move_stem(tensors: Tensors, in_channels: int, policy: ChannelPolicy) -> None:
    """The U-Net's stem reads the image: it follows the backbone's number of bands."""
    kernel = tensors.get(_STEM)
    if kernel is not None and kernel.shape[1] != in_channels:
        tensors[_STEM] = moved_kernel(kernel, in_channels, policy)


def _refuse_other_heads(reading: Reading, tensors: Tensors) -> None:
    """Heads with holes are heads of another kind: their results would mean nothing.

    Raises:
        CheckpointError: a tensor of the heads is missing.
    """
    modules = {name.split(".")[0] for name in tensors}
    missing = [name for name in reading.account.missing if name.split(".")[0] in modules]
    if missing:
        raise CheckpointError(
            f"{reading.where} lacks {missing[0]}; its heads are incomplete or of another kind, "
            "take task='backbone' for the rest"
        )


def _fit(task: str, image_hw: tuple[int, int] | None) -> Fit:
    """Sides of the published evaluation; a wanted side is the short one, in the same proportion."""
    fit = PAPER_FIT if task == "segmentation" else Fit(short_side=SIDES[0], long_side=SIDES[1])
    if image_hw is None or fit.short_side is None or fit.long_side is None:
        return fit
    short, long = min(image_hw), max(image_hw)
    if short == long:
        long = round(short * fit.long_side / fit.short_side)
    return replace(fit, short_side=short, long_side=long)


def describe_dense(config: DenseConfig) -> str:
    """The architecture in a line."""
    backbone = config.backbone
    body = (
        f"Swin V{backbone.version}, {backbone.embed_dim} channels, "
        f"depths {list(backbone.depths)}, heads {list(backbone.num_heads)}"
    )
    if isinstance(config, SegmenterConfig):
        kind = f"{config.decoder} of {config.channels} channels"
    else:
        kind = f"{config.kind}, pyramid of {config.fpn_channels} channels"
    return f"{kind}, {config.num_classes} classes; {body}"
