"""`swinkit.load`: a model that computes what its source computed, from any Swin checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig, per_stage
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints import transfer
from swinkit.checkpoints.infer import Inferred, Wanted, describe, infer
from swinkit.checkpoints.keymap import NativeState, Source
from swinkit.checkpoints.native import read_header
from swinkit.checkpoints.opening import WeightFile, open_source
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sidecar import class_names_of, facts_beside, preprocessing_of
from swinkit.checkpoints.sources import recognise
from swinkit.checkpoints.transfer import ChannelPolicy, Weights
from swinkit.checkpoints.translation import read
from swinkit.errors import CheckpointError
from swinkit.models.classifier import SwinClassifier
from swinkit.models.info import ModelInfo

Task = Literal["classification", "backbone"]
Reporter = Callable[[LoadReport], object]


def load(
    source: str | Path | Mapping[str, Any],
    *,
    image_size: int | tuple[int, int] | None = None,
    pretrained_window_size: Any = None,
    window_size: Any = None,
    task: Task | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    channel_policy: ChannelPolicy = "mean",
    strict: bool = False,
    report: Reporter | None = print,
    endpoint: str | None = None,
) -> SwinClassifier | SwinBackbone:
    """Build the model that a checkpoint describes and fill it, in eval mode on the CPU.

    The architecture is inferred from keys and shapes. Sources: microsoft/Swin-Transformer and its
    detection and segmentation forks, timm, torchvision, transformers, mmdet/mmseg, swinkit.

    Args:
        source: state dict, .pth / .pt / .bin / .safetensors file, folder with config.json, name
            from `swinkit models`, hub id owner/name, or URL with its hash
            (`...#sha256=...` or torchvision's `name-<hash8>.pth`).
        image_size: pixels, side or (height, width); moves the weights to that resolution.
        pretrained_window_size: V2, where the file does not tell: window of the bias coordinates,
            one or one per stage; 0 is the stage's own window.
        window_size: tokens, side, (height, width) or one per stage. Moves the weights there; for
            V2 files that do not tell their window it says which it is.
        task: "classification" or "backbone"; None takes what the file holds.
        num_classes: another head, initialised anew; ImageNet-22K to 1K keeps the shared rows.
        in_channels, channel_policy: see `swinkit.checkpoints.transfer.move_channels`.
        strict: raise on anything unexplained: missing or unexpected tensors, guesses.
        report: called with the LoadReport; None keeps quiet.
        endpoint: base address of another Hugging Face hub.

    Returns:
        A model whose forward on (B, channels, H, W) gives the source's logits or feature maps.

    Raises:
        CheckpointError: missing, damaged, unsafe, of another family, or it does not fit.
    """
    wanted = Request(
        image_hw=_size_hw(image_size),
        window_size=window_size,
        pretrained_window_size=pretrained_window_size,
        task=task,
        num_classes=num_classes,
        in_channels=in_channels,
        channel_policy=channel_policy,
    )
    model, account = _restore(open_source(source, endpoint=endpoint), wanted)
    if report is not None:
        report(account)
    if strict and account.unexplained:
        raise CheckpointError(_strict_message(account.origin, account.unexplained))
    return model.eval()


@dataclass(frozen=True, kw_only=True)
class Request(Wanted):
    """The arguments of `load` that shape the model."""

    task: Task | None
    num_classes: int | None
    in_channels: int | None
    channel_policy: ChannelPolicy


def _restore(
    opened: WeightFile, wanted: Request
) -> tuple[SwinClassifier | SwinBackbone, LoadReport]:
    """Recognise, rename, infer, transfer, build and fill."""
    family = recognise(opened.tensors, opened.origin)
    native = read(family, opened.tensors)
    account = _start_report(opened, family, native)
    _to_float32(native, account)
    found, info = _architecture(opened, family, native, wanted)
    account.guesses += found.guesses
    account.notes += found.notes
    weights = Weights(
        tensors=native.tensors,
        config=found.config,
        image_hw=found.image_hw,
        num_classes=found.num_classes,
    )
    transfer.move_windows(weights, wanted.image_hw, wanted.window_size, account)
    transfer.move_image(weights, wanted.image_hw, account)
    transfer.move_channels(weights, wanted.in_channels, wanted.channel_policy, account)
    wants_head = _wants_head(wanted, weights, opened.origin)
    if wants_head:
        transfer.move_classes(weights, wanted.num_classes, account)
    model = _build(weights, wants_head, account, opened.origin)
    if isinstance(model, SwinClassifier):
        model.info = _info(opened, family, weights, info)
    account.summary = describe(weights.config, weights.num_classes if wants_head else None)
    return model, account


def _architecture(
    opened: WeightFile, family: Source, native: NativeState, wanted: Wanted
) -> tuple[Inferred, ModelInfo | None]:
    """From swinkit's own header where there is one, else inferred."""
    header = read_header(opened.metadata, opened.origin)
    if header is None:
        facts = facts_beside(opened)
        return infer(native, family.small_map_rule, facts, wanted, opened.origin), None
    info = ModelInfo.from_dict(header["info"]) if header["info"] else None
    stored = info.fixed_size.size_hw if info else (224, 224)
    found = Inferred(config=header["config"], num_classes=header["num_classes"], image_hw=stored)
    return found, info


def _strict_message(where: str, unexplained: list[str]) -> str:
    more = f"; and {len(unexplained) - 3} more" if len(unexplained) > 3 else ""
    return f"{where}: strict loading refuses {'; '.join(unexplained[:3])}{more}"


def _size_hw(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    return per_stage(image_size, 3, "image_size", 1)[0]


def _start_report(opened: WeightFile, family: Source, native: NativeState) -> LoadReport:
    if native.incomplete:
        raise CheckpointError(
            f"{opened.origin}: {native.incomplete[0]} stands without the tensors that belong to it"
        )
    return LoadReport(
        origin=opened.origin,
        source=family.title,
        renamed={
            name: parts
            for name, parts in native.renamed.items()
            if parts not in ((name,), (f"backbone.{name}",))
        },
        derived=native.num_derived,
        ignored=native.ignored,
        other=native.other,
        unexpected=native.unexpected,
        notes=list(opened.notes),
    )


def _to_float32(native: NativeState, account: LoadReport) -> None:
    kinds = {str(value.dtype).removeprefix("torch.") for value in native.tensors.values()}
    for name, value in native.tensors.items():
        native.tensors[name] = value.detach().to(device="cpu", dtype=torch.float32)
    if kinds - {"float32"}:
        account.changed.append(f"numbers from {', '.join(sorted(kinds))} to float32")


def _wants_head(wanted: Request, weights: Weights, where: str) -> bool:
    """Whether a classifier is built, after checking that it can be."""
    task, num_classes = wanted.task, wanted.num_classes
    if task not in (None, "classification", "backbone"):
        raise CheckpointError(f"task is {task!r}; choose classification or backbone")
    if task == "backbone":
        return False
    if task is None and weights.num_classes is None and num_classes is None:
        return False
    last = weights.config.num_stages - 1
    if weights.num_classes is None and num_classes is None:
        raise CheckpointError(
            f"{where} holds a backbone without a classifier; give num_classes= for a fresh one, "
            "or task='backbone'"
        )
    if last not in weights.config.norm_stages:
        raise CheckpointError(
            f"{where} lacks the norm after the last stage that a classifier needs; "
            "load it with task='backbone'"
        )
    return True


def _build(
    weights: Weights, wants_head: bool, account: LoadReport, where: str
) -> SwinClassifier | SwinBackbone:
    """The model with its tensors filled; what did not fit goes into the report."""
    tensors = dict(weights.tensors)
    model: SwinClassifier | SwinBackbone
    if wants_head:
        assert weights.num_classes is not None
        last = weights.config.num_stages - 1
        config = _with_norms(weights.config, (last,))
        model = SwinClassifier(config, num_classes=weights.num_classes)
        dropped = [f"norms.{i}" for i in weights.config.norm_stages if i != last]
        prefix = "backbone."
    else:
        model, dropped, prefix = SwinBackbone(weights.config), ["head.fc"], ""
    for module in dropped:
        for name in [name for name in tensors if name.startswith(module + ".")]:
            account.ignored[name] = f"{module} is no part of this task's model"
            del tensors[name]
    expected = {name.removeprefix("backbone."): name for name in model.state_dict()}
    place = {name: value for name, value in tensors.items() if name in expected}
    _check_shapes(model, expected, place, where)
    account.unexpected += [
        " + ".join(account.renamed.get(name, (name,))) for name in tensors if name not in expected
    ]
    account.missing += [
        name for name in expected if name not in place and name not in account.initialised
    ]
    named = {(name if name.startswith("head.") else prefix + name): v for name, v in place.items()}
    model.load_state_dict(named, strict=False)
    account.loaded = len(place)
    account.parameters = sum(value.numel() for value in place.values())
    return model


def _with_norms(config: SwinConfig, stages: tuple[int, ...]) -> SwinConfig:
    return SwinConfig.from_dict({**config.to_dict(), "norm_stages": stages})


def _check_shapes(
    model: torch.nn.Module, expected: dict[str, str], place: dict[str, Tensor], where: str
) -> None:
    own = model.state_dict()
    for name, value in place.items():
        shape = tuple(own[expected[name]].shape)
        if tuple(value.shape) != shape:
            raise CheckpointError(
                f"{where}: {name} has shape {tuple(value.shape)}, expected {shape}; "
                "the file contradicts itself"
            )


def _info(
    opened: WeightFile, family: Source, weights: Weights, info: ModelInfo | None
) -> ModelInfo:
    """Class names, preprocessing, metrics and provenance for the loaded classifier."""
    channels, classes = weights.config.in_channels, weights.num_classes or 0
    provenance = {"source": opened.origin, "layout": family.name}
    if opened.sha256:
        provenance["sha256"] = opened.sha256
    if info is not None:
        names = info.class_names
        preprocessing = info.fixed_size
        if (preprocessing.size_hw, preprocessing.channels) != (weights.image_hw, channels):
            preprocessing = preprocessing_of(opened, weights.image_hw, channels)
        metrics, provenance = dict(info.metrics), {**info.provenance, **provenance}
    else:
        names = class_names_of(opened, classes)
        preprocessing = preprocessing_of(opened, weights.image_hw, channels)
        metrics = {}
        if opened.published:
            provenance |= {"licence": opened.published.licence, "url": opened.published.url}
            if opened.published.top1 is not None:
                metrics["imagenet_top1"] = opened.published.top1
    return ModelInfo(
        class_names=names if names and len(names) == classes else None,
        preprocessing=preprocessing,
        metrics=metrics,
        provenance=provenance,
    )
