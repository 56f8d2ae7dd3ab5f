"""What stands beside a backbone in a larger model's file: a detector, a segmenter, or strangers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from swinkit.checkpoints.detectors import rows_for_keys
from swinkit.checkpoints.keymap import Entry, Tensors
from swinkit.checkpoints.legacy import modernise
from swinkit.checkpoints.segmenters import UPERNET_HUGGINGFACE, UPERNET_OPENMMLAB
from swinkit.checkpoints.translation import translate
from swinkit.errors import CheckpointError

DenseTask = Literal["detection", "segmentation"]
Rows = Callable[[Mapping[str, Tensor]], tuple[Entry, ...]]

_OPENMMLAB = ("mmdet", "microsoft-detection")


@dataclass(frozen=True, kw_only=True)
class HeadFamily:
    """Files whose backbone and heads go together.

    Attributes:
        task: what the heads do.
        sources: names of the backbone's sources.
        anchor: regular expression of a key that every such file has.
        marks: each must match some key.
        rows: the table for a file's own keys; None where its names are swinkit's.
        title: how the report calls the heads.
    """

    task: DenseTask
    sources: tuple[str, ...]
    anchor: str
    marks: tuple[str, ...] = ()
    rows: Rows | None = None
    title: str


@dataclass(kw_only=True)
class HeadState:
    """The heads of a file in swinkit's names.

    Attributes:
        renamed: native name to the foreign names it came from.
        unexpected: foreign names below the heads' prefix that no row explains.
        guesses: what the file does not prove.
    """

    family: HeadFamily
    tensors: Tensors
    renamed: dict[str, tuple[str, ...]]
    unexpected: list[str]
    guesses: list[str]


def _upernet(tensors: Mapping[str, Tensor]) -> tuple[Entry, ...]:
    transformers = "decode_head.classifier.weight" in tensors
    return UPERNET_HUGGINGFACE if transformers else UPERNET_OPENMMLAB


HEAD_FAMILIES: tuple[HeadFamily, ...] = (
    HeadFamily(
        task="detection",
        sources=_OPENMMLAB,
        anchor=r"neck\.lateral_convs\.0\.conv\.weight",
        marks=(r"rpn_head\.rpn_conv\.weight", r"roi_head\.bbox_head\.(0\.)?fc_cls\.weight"),
        rows=rows_for_keys,
        title="mmdet's region heads",
    ),
    HeadFamily(
        task="detection",
        sources=_OPENMMLAB,
        anchor=r"neck\.lateral_convs\.0\.conv\.weight",
        marks=(r"bbox_head\.retina_cls\.weight", r"bbox_head\.retina_reg\.weight"),
        rows=rows_for_keys,
        title="mmdet's RetinaNet head",
    ),
    HeadFamily(
        task="segmentation",
        sources=(*_OPENMMLAB, "huggingface-backbone"),
        anchor=r"decode_head\.psp_modules\.0\.1\.conv\.weight",
        marks=(
            r"decode_head\.fpn_bottleneck\.conv\.weight",
            r"decode_head\.(conv_seg|classifier)\.weight",
        ),
        rows=_upernet,
        title="UPerNet heads",
    ),
    HeadFamily(
        task="detection",
        sources=("native",),
        anchor=r"fpn\.lateral\.0\.weight",
        title="swinkit's detector",
    ),
    HeadFamily(
        task="segmentation",
        sources=("native",),
        anchor=r"ppm\.bottleneck\.conv\.weight|head\.levels\.0\.join\.conv\.weight",
        title="swinkit's segmenter",
    ),
)


def read_heads(
    source: str, others: Mapping[str, Tensor], meta: Mapping[str, object], where: str
) -> HeadState | None:
    """The heads among a file's tensors, or None where they are no model that swinkit builds.

    Args:
        source: name of the backbone's source.
        others: tensors that do not belong to the backbone, by the file's own names.
        meta: what the training script wrote beside the weights.

    Raises:
        CheckpointError: a tensor stands without those that belong to it.
    """
    guesses: list[str] = []
    modern = {name: (name, value) for name, value in others.items()}
    if source in _OPENMMLAB:
        modern = modernise(others, meta, guesses)
    for family in HEAD_FAMILIES:
        prefix = _prefix(family, modern)
        if source not in family.sources or prefix is None:
            continue
        inside = {
            name.removeprefix(prefix): entry
            for name, entry in modern.items()
            if name.startswith(prefix)
        }
        if all(any(re.fullmatch(mark, name) for name in inside) for mark in family.marks):
            return _translated(family, inside, guesses, where)
    return None


def _prefix(family: HeadFamily, names: Mapping[str, object]) -> str | None:
    """What stands in front of the anchor; the shortest where there are several."""
    anchor = re.compile(rf"(?P<prefix>(?:.*?\.)??)(?:{family.anchor})")
    found = [match["prefix"] for match in map(anchor.fullmatch, names) if match]
    return min(found, key=len) if found else None


def _translated(
    family: HeadFamily, inside: Mapping[str, tuple[str, Tensor]], guesses: list[str], where: str
) -> HeadState:
    tensors = {name: value for name, (_, value) in inside.items()}
    spelled = {name: original for name, (original, _) in inside.items()}
    if family.rows is None:
        origin: dict[str, tuple[str, ...]] = {
            name: (original,) for name, original in spelled.items()
        }
        return HeadState(
            family=family, tensors=tensors, renamed=origin, unexpected=[], guesses=guesses
        )
    done = translate(tensors, family.rows(tensors), "native")
    if done.incomplete:
        raise CheckpointError(
            f"{where}: {done.incomplete[0]} stands without the tensors that belong to it"
        )
    return HeadState(
        family=family,
        tensors=done.tensors,
        renamed={
            name: tuple(spelled[part] for part in parts) for name, parts in done.origin.items()
        },
        unexpected=[spelled[name] for name in done.left],
        guesses=guesses,
    )
