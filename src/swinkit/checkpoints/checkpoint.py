"""One file on its way to a model: recognized, in swinkit's names, with what stands beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from swinkit.backbones.config import SmallMapRule
from swinkit.checkpoints.infer_window import BackboneEvidence, StatedSizes, sizes_from_name
from swinkit.checkpoints.renaming import FoundHeads, find_heads, read_backbone, read_heads
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.save import Header, read_header
from swinkit.checkpoints.sources import all_sources, recognize
from swinkit.checkpoints.sources.base import Source, WeightFile
from swinkit.checkpoints.sources.tables import KeyTable, Tensors
from swinkit.errors import CheckpointError
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.registry import DEFAULT
from swinkit.task.model import ModelInfo
from swinkit.task.weights import ImageEvidence, TaskWeights

Stated = TypeVar("Stated")

# Pixels that a file may ask for: a classifier's input, a detector's short side.
MOST_SIDE, MOST_FREE_SIDE = 4096, 8192


@dataclass(kw_only=True)
class Checkpoint:
    """What a file says before anything is built.

    Attributes:
        source, table: whose names it has.
        backbone: with a classifier's head, in swinkit's names.
        heads: neck and heads of another task, None without.
        header: what swinkit itself wrote, None in others' files.
        report: what happened to each tensor so far.
    """

    file: WeightFile
    source: Source
    table: KeyTable
    backbone: BackboneEvidence
    heads: FoundHeads | None
    header: Header | None
    report: LoadReport

    @property
    def origin(self) -> str:
        """How messages call it."""
        return self.file.origin

    @property
    def task(self) -> str | None:
        """The task of its heads; None for a bare backbone."""
        if self.heads is not None:
            return self.heads.table.task
        return DEFAULT if self.classifier_head() else None

    def classifier_head(self) -> Tensors:
        """The head that stands in the tables of the backbones."""
        return {
            name: value for name, value in self.backbone.tensors.items() if name.startswith("head.")
        }

    def head_tensors(self) -> Tensors:
        """The heads, which the report then lists no longer as another model's parts."""
        if self.heads is None:
            return self.classifier_head()
        return _to_float32(read_heads(self.heads, self.report), self.report)


def read_checkpoint(file: WeightFile) -> Checkpoint:
    """Recognize a file and rename its tensors.

    Raises:
        CheckpointError: no Swin, one that computes otherwise, or a tensor without those that
            belong to it.
    """
    source, table = recognize(file.tensors, file.origin)
    refusals = source.unsupported(file)
    if refusals:
        raise CheckpointError(
            f"{file.origin} computes otherwise than swinkit: {'; '.join(refusals)}"
        )
    report = LoadReport(origin=file.origin, source=table.title, notes=list(file.notes))
    backbone = read_backbone(table, file.tensors, report)
    backbone.tensors = _to_float32(backbone.tensors, report)
    others = {name: file.tensors[name] for name in report.other}
    unused = {name: file.tensors[name] for name in report.ignored}
    heads = find_heads(source, others, unused, file)
    roots = {root for source in all_sources() for root in source.head_roots}
    if heads is None and roots & {name.split(".")[0] for name in report.other}:
        report.notes.append(
            "its neck and heads are of a kind that swinkit does not build; the backbone is read"
        )
    # A .pth file's record serves as a .safetensors file's header.
    texts = {key: value for key, value in file.meta.items() if isinstance(value, str)}
    return Checkpoint(
        file=file,
        source=source,
        table=table,
        backbone=backbone,
        heads=heads,
        header=read_header(file.metadata or texts, file.origin),
        report=report,
    )


def _to_float32(tensors: Tensors, report: LoadReport) -> Tensors:
    """Weights as float32 on the CPU; counters stay whole numbers."""
    kinds, moved = set(), {}
    for name, value in tensors.items():
        moved[name] = value.detach().to(device="cpu")
        if value.is_floating_point():
            kinds.add(str(value.dtype).removeprefix("torch."))
            moved[name] = moved[name].to(torch.float32)
    text = f"numbers from {', '.join(sorted(kinds))} to float32"
    if kinds - {"float32"} and text not in report.changed:
        report.changed.append(text)
    return moved


def small_map_rule(checkpoint: Checkpoint, task: TaskWeights[Any] | None) -> SmallMapRule:
    """As the source computes, or the packages that the heads are from."""
    own = task.small_map_rule(checkpoint.backbone.version) if task else None
    return own or checkpoint.table.small_map_rule


def stated_sizes(checkpoint: Checkpoint, task: TaskWeights[Any] | None) -> StatedSizes | None:
    """The first of: swinkit's own table, settings beside the weights, the file's name."""
    if task and task.any_size and checkpoint.backbone.version == 1:
        # The heads take any size; the file's name and window say nothing about one.
        return StatedSizes(stated_by="the heads", proven=True, image_hw=(224, 224))
    file, entry = checkpoint.file, checkpoint.file.published
    if entry is not None and entry.window_size and entry.image_size:
        return StatedSizes(
            stated_by=f"the table of published weights ({entry.name})",
            proven=True,
            window_size=entry.window_size,
            pretrained_window_size=entry.pretrained_window_size,
            image_hw=(entry.image_size, entry.image_size),
            pretrained_image=192 if entry.pretrained_window_size else None,
        )
    stated = _first_stated(checkpoint, lambda source: source.stated_sizes(file))
    return stated or sizes_from_name(file.name, f"the file name {file.name}", proven=False)


def _first_stated(checkpoint: Checkpoint, ask: Callable[[Source], Stated | None]) -> Stated | None:
    """Settings are recognized by themselves: a package's may stand beside another's weights."""
    for source in (checkpoint.source, *all_sources()):
        stated = ask(source)
        if stated:
            return stated
    return None


def model_info(
    checkpoint: Checkpoint,
    task: TaskWeights[Any],
    image: ImageEvidence,
    *,
    held_classes: int,
    num_classes: int,
) -> ModelInfo:
    """What a loaded model knows of itself: from swinkit's header, else from what stands beside.

    Args:
        held_classes: of the file; metrics are dropped where the model has another number, and
            names unless the rows of its classes were carried over.
    """
    stored, entry = checkpoint.header and checkpoint.header.info, checkpoint.file.published
    if checkpoint.header and checkpoint.header.task == task.task and stored:
        names, metrics = stored.class_names, stored.metrics
        image = replace(image, stored=stored.preprocessing)
    else:
        carried = task.shared_rows(held_classes, num_classes) is not None
        names = _class_names(checkpoint, task, num_classes if carried else held_classes)
        metrics = entry.metrics if entry else {}
        image = replace(image, stated=_image_settings(checkpoint, image))
        if task.any_size and image.stated.get("resize") == "squash":
            checkpoint.report.notes.append(
                "the image processor beside the weights squashes to a square; swinkit keeps the "
                "aspect"
            )
    preprocessing = task.preprocessing(image)
    if image.requested_hw is None:
        _bounded(preprocessing, checkpoint.origin)
    return ModelInfo(
        class_names=names if names and len(names) == num_classes else None,
        preprocessing=preprocessing,
        metrics=dict(metrics) if num_classes == held_classes else {},
        provenance=_provenance(checkpoint),
    )


def _class_names(
    checkpoint: Checkpoint, task: TaskWeights[Any], classes: int
) -> tuple[str, ...] | None:
    """From settings beside the weights, or from the list of a published data set."""

    def ask(source: Source) -> tuple[str, ...] | None:
        names = source.class_names(checkpoint.file)
        return names if names and len(names) == classes else None

    named = _first_stated(checkpoint, ask)
    if named is not None:
        return named
    listed = task.class_names(classes, published=checkpoint.file.published is not None)
    if classes in task.labels:
        checkpoint.report.notes.append(
            f"class names by their number: {task.labels[classes][0]}'s {classes}; the file names "
            "none"
        )
    return listed


def _image_settings(checkpoint: Checkpoint, image: ImageEvidence) -> dict[str, Any]:
    """Fields of `Preprocessing` that something states; statistics of other bands make no sense."""
    entry = checkpoint.file.published
    if entry is not None and entry.crop_fraction is not None:
        return {"crop_fraction": entry.crop_fraction} if entry.crop_fraction < 1 else {}
    stated = _first_stated(
        checkpoint, lambda source: source.image_settings(checkpoint.file, image.size_hw)
    )
    settings = {name: value for name, value in (stated or {}).items() if value}
    if not len(settings.get("mean", ())) == len(settings.get("std", ())) == image.channels:
        settings = {k: value for k, value in settings.items() if k not in ("mean", "std")}
    return settings


def _bounded(prepare: Preprocessing | Fit, origin: str) -> None:
    """Refuse sizes that a file states and no machine can compute. Raises CheckpointError."""
    if isinstance(prepare, Preprocessing):
        sides, most = prepare.size_hw, MOST_SIDE
    else:
        sides = (prepare.short_side or 0, prepare.divisor)
        most = MOST_FREE_SIDE
    if max(sides) > most:
        raise CheckpointError(
            f"{origin}: states images of {sides[0]}x{sides[1]} pixels, more than {most} a side; "
            "the file is damaged, or give image_size="
        )


def _provenance(checkpoint: Checkpoint) -> dict[str, str]:
    file, header = checkpoint.file, checkpoint.header
    provenance = {"source": file.origin, "layout": checkpoint.table.name}
    if file.sha256:
        provenance["sha256"] = file.sha256
    if header is not None and header.info is not None:
        return {**header.info.provenance, **provenance}
    if file.published:
        provenance |= {"license": file.published.license, "url": file.published.url}
    return provenance
