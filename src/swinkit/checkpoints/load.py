"""`swinkit.load`: a model that computes what its source computed, from any Swin checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from swinkit.backbones.config import per_stage
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints import transfer
from swinkit.checkpoints.artifact import is_artifact, load_artifact
from swinkit.checkpoints.checkpoint import (
    Checkpoint,
    model_info,
    read_checkpoint,
    small_map_rule,
    stated_sizes,
)
from swinkit.checkpoints.filling import filled, naming, understood
from swinkit.checkpoints.infer import BackboneWeights, infer_backbone
from swinkit.checkpoints.infer_window import WindowSize
from swinkit.checkpoints.opening import open_weights
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.save import BACKBONE, Model
from swinkit.checkpoints.sources.tables import Tensors
from swinkit.checkpoints.transfer import ChannelPolicy
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import Preprocessing
from swinkit.registry import DEFAULT, TASKS, all_tasks, get_task, task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel
from swinkit.task.weights import Evidence, ImageEvidence, TaskConfig, TaskWeights, describe_backbone

Reporter = Callable[[LoadReport], object]

MOST_WINDOW = 64  # tokens a side; attention in it holds 16 million numbers per head


def load(
    source: str | Path | Mapping[str, object],
    *,
    image_size: int | SizeHW | None = None,
    pretrained_window_size: WindowSize | None = None,
    window_size: WindowSize | None = None,
    task: str | None = None,
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
            microsoft and its forks, timm, torchvision, transformers, mmdet, mmseg, swinkit. Or an
            .onnx or .xml file of `swinkit.export`: the model then answers through that file, and
            has no weights of its own.
        image_size: pixels, side or (height, width), to which the weights are moved.
        pretrained_window_size: V2, where the file does not tell: window of the bias coordinates.
        window_size: tokens; moves the weights, or for V2 files that do not tell says which it is.
            One shrinks to small maps as the source's would; a pair for each stage does not.
        task: "classification", "detection", "segmentation" or "backbone"; None takes what the
            file holds.
        num_classes: another head, initialized anew; ImageNet-22K to 1K keeps the shared rows.
        in_channels, channel_policy: see `swinkit.checkpoints.transfer.move_channels`.
        strict: raise on anything unexplained: missing or unexpected tensors, guesses.
        report: called with the LoadReport; None keeps quiet.
        endpoint: base address of another Hugging Face hub.

    Raises:
        CheckpointError: missing, damaged, unsafe, of another family, or it does not fit.

    Example:
        >>> import swinkit
        >>> weights = swinkit.create_model("swin_nano", num_classes=10).state_dict()
        >>> model = swinkit.load(weights, num_classes=3, report=None)
        >>> model.num_classes
        3
    """
    request = Request(
        image_hw=None if image_size is None else per_stage(image_size, 3, "image_size", 1)[0],
        window_size=window_size,
        pretrained_window_size=pretrained_window_size,
        task=task,
        num_classes=num_classes,
        in_channels=in_channels,
        channel_policy=channel_policy,
    )
    if is_artifact(source):
        fixed = request.window_size, request.pretrained_window_size, num_classes, in_channels, task
        if any(value is not None for value in fixed):
            raise CheckpointError(
                f"{source} is a finished network; change its weights, export anew"
            )
        return load_artifact(str(source), request.image_hw)
    file = open_weights(source, endpoint=endpoint)
    with naming(file.origin):
        checkpoint = read_checkpoint(file)
        model = _restore(checkpoint, request)
    if report is not None:
        report(checkpoint.report)
    unexplained = checkpoint.report.unexplained
    if strict and unexplained:
        more = f"; and {len(unexplained) - 3} more" if len(unexplained) > 3 else ""
        raise CheckpointError(
            f"{checkpoint.origin}: strict loading refuses {'; '.join(unexplained[:3])}{more}"
        )
    return model.eval()


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `load` that shape the model."""

    image_hw: SizeHW | None
    window_size: WindowSize | None
    pretrained_window_size: WindowSize | None
    task: str | None
    num_classes: int | None
    in_channels: int | None
    channel_policy: ChannelPolicy


def _restore(checkpoint: Checkpoint, request: Request) -> Model:
    """Infer, transfer, build and fill."""
    name, report = _task(checkpoint, request), checkpoint.report
    task = None if name is None else task_weights(name)
    with understood(checkpoint.origin):
        weights = _backbone(checkpoint, request, task)
        transfer.move_windows(
            weights,
            request.image_hw,
            request.window_size,
            report,
            shrinks=checkpoint.table.shrinks_windows and not _exact(request.window_size),
            tables=_bias_tables(checkpoint),
        )
        transfer.move_image(weights, request.image_hw, report)
        transfer.move_channels(weights, request.in_channels, request.channel_policy, report)
    if checkpoint.header is None:
        report.notes += checkpoint.source.size_notes(weights.config, weights.image_hw)
    if task is not None:
        return _with_heads(checkpoint, request, task, weights)
    _set_aside(checkpoint.classifier_head(), report)
    backbone = filled(lambda: SwinBackbone(weights.config), weights.tensors, checkpoint)
    report.summary = f"{describe_backbone(weights.config)}, backbone"
    return backbone


def _exact(window_size: WindowSize | None) -> bool:
    """Whether a window is given for every stage, as (height, width): another model's own."""
    return isinstance(window_size, tuple) and all(isinstance(size, tuple) for size in window_size)


def _bias_tables(checkpoint: Checkpoint) -> Literal["bicubic", "geometric"]:
    """How tables of the model that the file holds move to other windows."""
    return "bicubic" if checkpoint.task is None else task_weights(checkpoint.task).bias_tables


def _task(checkpoint: Checkpoint, request: Request) -> str | None:
    """The task of the model that is built, None for a bare backbone.

    Raises:
        CheckpointError: an unknown task, or one that the file has no heads for.
    """
    requested, held = request.task, checkpoint.task
    if requested is None:
        return held or (None if request.num_classes is None else DEFAULT)
    if requested == BACKBONE:
        return None
    if requested not in TASKS:
        raise CheckpointError(
            f"task is {requested!r}; choose {', '.join((*sorted(TASKS), BACKBONE))}"
        )
    if requested == held:
        return held
    if task_weights(requested).head_anchor is None:
        if request.num_classes is None:
            raise CheckpointError(
                f"{checkpoint.origin} holds a backbone without a {get_task(requested).model_kind}; "
                "give num_classes= for a fresh one, or task='backbone'"
            )
        return requested
    with_heads = [task for task in all_tasks() if task_weights(task.name).head_anchor]
    other = f"no {' or '.join(task.model_kind for task in with_heads)} that swinkit builds"
    if checkpoint.heads is not None and held is not None:
        other = f"a {get_task(held).model_kind}"
    raise CheckpointError(
        f"{checkpoint.origin} holds {other}; leave task out, or take task='backbone'"
    )


def _backbone(
    checkpoint: Checkpoint, request: Request, task: TaskWeights[Any] | None
) -> BackboneWeights:
    """The backbone, from swinkit's own header where there is one, else inferred."""
    header, evidence = checkpoint.header, checkpoint.backbone
    head = checkpoint.classifier_head()
    if header is not None:
        prepare = header.info.preprocessing if header.info else None
        image_hw = prepare.size_hw if isinstance(prepare, Preprocessing) else (224, 224)
        weights = BackboneWeights(
            tensors=evidence.tensors, config=header.backbone, image_hw=image_hw
        )
    else:
        evidence.rule = small_map_rule(checkpoint, task)
        evidence.stated = stated_sizes(checkpoint, task)
        evidence.image_hw = request.image_hw
        evidence.window_size = request.window_size
        evidence.pretrained_window_size = request.pretrained_window_size
        weights = infer_backbone(evidence)
        checkpoint.report.add(evidence)
    largest = max(max(window) for window in weights.config.windows)
    if largest > MOST_WINDOW and request.window_size is None:
        raise CheckpointError(
            f"{checkpoint.origin}: states windows of {largest} tokens a side, more than "
            f"{MOST_WINDOW}; the file is damaged, or give window_size="
        )
    weights.tensors = {name: value for name, value in weights.tensors.items() if name not in head}
    return weights


def _with_heads(
    checkpoint: Checkpoint, request: Request, task: TaskWeights[Any], weights: BackboneWeights
) -> TaskModel[Any]:
    """The model of a task: its configuration, its classes, what it knows of itself.

    Raises:
        CheckpointError: heads that swinkit does not build, or that are incomplete.
    """
    report = checkpoint.report
    heads = checkpoint.head_tensors() if task.task == checkpoint.task else {}
    with understood(checkpoint.origin):
        config = _config(checkpoint, task, heads, weights)
        held = config.num_classes
        classes = transfer.move_classes(task, heads, config, request.num_classes, report)
        transfer.move_image_kernels(task, heads, weights.config.in_channels, request.channel_policy)
    config = replace(config, num_classes=classes)  # type: ignore[type-var]
    norms = {f"norms.{stage}" for stage in config.backbone.norm_stages}
    unused = {
        name: value
        for name, value in weights.tensors.items()
        if name.startswith("norms.") and name.rpartition(".")[0] not in norms
    }
    _set_aside(unused, report)
    body = {name: value for name, value in weights.tensors.items() if name not in unused}
    model: TaskModel[Any] = filled(lambda: task.build(config), {**body, **heads}, checkpoint)
    if checkpoint.heads is not None and heads:
        _refuse_incomplete(checkpoint, heads)
    image = ImageEvidence(
        size_hw=weights.image_hw,
        requested_hw=request.image_hw,
        channels=weights.config.in_channels,
    )
    model.info = model_info(checkpoint, task, image, held_classes=held, num_classes=classes)
    report.summary = task.describe(config)
    return model


def _config(
    checkpoint: Checkpoint, task: TaskWeights[Any], heads: Tensors, weights: BackboneWeights
) -> TaskConfig:
    """From swinkit's own header where there is one, else inferred; the backbone as moved."""
    header = checkpoint.header
    if header is not None and header.config is not None and header.task == task.task:
        return replace(header.config, backbone=weights.config)  # type: ignore[type-var]
    evidence = Evidence(origin=checkpoint.origin)
    if checkpoint.heads is not None and heads:
        evidence.settings = checkpoint.heads.table.settings(checkpoint.file)
    config: TaskConfig = task.infer(heads, weights.config, evidence)
    checkpoint.report.add(evidence)
    return config


def _set_aside(tensors: Tensors, report: LoadReport) -> None:
    for name in tensors:
        report.ignored[name] = f"{name.rpartition('.')[0]} is no part of this task's model"


def _refuse_incomplete(checkpoint: Checkpoint, heads: Tensors) -> None:
    """Heads with holes are heads of another kind: their results would mean nothing.

    Raises:
        CheckpointError: a tensor of the heads is missing.
    """
    modules = {name.split(".")[0] for name in heads}
    missing = [name for name in checkpoint.report.missing if name.split(".")[0] in modules]
    if missing:
        raise CheckpointError(
            f"{checkpoint.origin} lacks {missing[0]}; its heads are incomplete or of another kind, "
            "take task='backbone' for the rest"
        )
