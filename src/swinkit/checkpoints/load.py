"""`swinkit.load`: a model that computes what its source computed, from any Swin checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args

from swinkit.backbones.config import SwinConfig, per_stage
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints import transfer
from swinkit.checkpoints.building import build_backbone, build_classifier
from swinkit.checkpoints.infer import Inferred, Wanted, describe, infer
from swinkit.checkpoints.opening import open_source
from swinkit.checkpoints.provenance import classifier_info
from swinkit.checkpoints.reading import Reading, read_weights
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sidecar import Facts, facts_beside
from swinkit.checkpoints.transfer import ChannelPolicy, Weights
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector
    from swinkit.segmentation.model import SwinSegmenter

Task = Literal["classification", "backbone", "detection", "segmentation"]
Reporter = Callable[[LoadReport], object]
Model: TypeAlias = Union[SwinClassifier, SwinBackbone, "SwinDetector", "SwinSegmenter"]

_DENSE = {"detection": "detector", "segmentation": "segmenter"}


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
) -> Model:
    """Build the model that a checkpoint describes and fill it, in eval mode on the CPU.

    Args:
        source: state dict, weight file, folder with config.json, name from `swinkit models`, hub
            id owner/name, or URL with its hash (`...#sha256=...` or `name-<hash8>.pth`), of
            microsoft and its forks, timm, torchvision, transformers, mmdet, mmseg, swinkit.
        image_size: pixels, side or (height, width), to which the weights are moved.
        pretrained_window_size: V2, where the file does not tell: window of the bias coordinates.
        window_size: tokens; moves the weights, or for V2 files that do not tell says which it is.
        task: None takes what the file holds.
        num_classes: another head, initialised anew; ImageNet-22K to 1K keeps the shared rows.
        in_channels, channel_policy: see `swinkit.checkpoints.transfer.move_channels`.
        strict: raise on anything unexplained: missing or unexpected tensors, guesses.
        report: called with the LoadReport; None keeps quiet.
        endpoint: base address of another Hugging Face hub.

    Raises:
        CheckpointError: missing, damaged, unsafe, of another family, or it does not fit.
    """
    wanted = Request(
        image_hw=None if image_size is None else per_stage(image_size, 3, "image_size", 1)[0],
        window_size=window_size,
        pretrained_window_size=pretrained_window_size,
        task=task,
        num_classes=num_classes,
        in_channels=in_channels,
        channel_policy=channel_policy,
    )
    reading = read_weights(open_source(source, endpoint=endpoint))
    model, account = _restore(reading, wanted), reading.account
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


def _restore(reading: Reading, wanted: Request) -> Model:
    """Infer, transfer, build and fill."""
    dense = _dense_task(reading, wanted.task)
    found = _architecture(reading, wanted, dense)
    account = reading.account
    account.guesses += found.guesses
    account.notes += found.notes
    weights = Weights(
        tensors=reading.native.tensors,
        config=found.config,
        image_hw=found.image_hw,
        num_classes=found.num_classes,
    )
    transfer.move_windows(weights, wanted.image_hw, wanted.window_size, account)
    transfer.move_image(weights, wanted.image_hw, account)
    transfer.move_channels(weights, wanted.in_channels, wanted.channel_policy, account)
    if dense is not None:
        # With it come torchvision's operators, which take two seconds to import.
        from swinkit.checkpoints.dense import build_dense

        return build_dense(
            reading, weights, wanted.num_classes, wanted.image_hw, wanted.channel_policy
        )
    if not _wants_head(wanted, weights, reading.where):
        account.summary = describe(weights.config, None)
        return build_backbone(weights, account, reading.where)
    transfer.move_classes(weights, wanted.num_classes, account)
    model = build_classifier(weights, account, reading.where)
    model.info = classifier_info(reading, weights)
    account.summary = describe(weights.config, weights.num_classes)
    return model


def _dense_task(reading: Reading, task: str | None) -> str | None:
    """ "detection" or "segmentation" where the model has such heads, None for other models.

    Raises:
        CheckpointError: an unknown task, or one that the file has no heads for.
    """
    if task is not None and task not in get_args(Task):
        raise CheckpointError(f"task is {task!r}; choose {', '.join(get_args(Task))}")
    held = reading.heads.family.task if reading.heads else None
    if task in _DENSE and task != held:
        other = f"a {_DENSE[held]}" if held else "no detector or segmenter that swinkit builds"
        raise CheckpointError(
            f"{reading.where} holds {other}; leave task out, or take task='backbone'"
        )
    return held if task in (None, held) else None


def _architecture(reading: Reading, wanted: Wanted, dense: str | None) -> Inferred:
    """The backbone's, from swinkit's own header where there is one, else inferred."""
    header = reading.header
    if header is None:
        facts, rule = facts_beside(reading.opened), reading.family.small_map_rule
        if dense and reading.native.version == 1:
            # The heads take any size; the file's name and window say nothing about one.
            facts = Facts(said_by="the heads", proven=True, image_hw=(224, 224))
        if dense == "detection" or (dense and reading.native.version == 1):
            rule = "keep"
        return infer(reading.native, rule, facts, wanted, reading.where)
    config = header.config if isinstance(header.config, SwinConfig) else header.config.backbone
    size = (224, 224)
    if header.info and isinstance(header.info.preprocessing, Preprocessing):
        size = header.info.preprocessing.size_hw
    classes = header.num_classes if isinstance(header.config, SwinConfig) else None
    return Inferred(config=config, num_classes=classes, image_hw=size)


def _strict_message(where: str, unexplained: list[str]) -> str:
    more = f"; and {len(unexplained) - 3} more" if len(unexplained) > 3 else ""
    return f"{where}: strict loading refuses {'; '.join(unexplained[:3])}{more}"


def _wants_head(wanted: Request, weights: Weights, where: str) -> bool:
    """Whether a classifier is built, after checking that it can be."""
    task, num_classes = wanted.task, wanted.num_classes
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
