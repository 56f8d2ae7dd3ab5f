"""One file on its way to a model: opened, recognised, in swinkit's names, with its account."""

from dataclasses import dataclass
from typing import Any

import torch

from swinkit.checkpoints.heads import HeadState, read_heads
from swinkit.checkpoints.keymap import NativeState, Source, Tensors
from swinkit.checkpoints.native import Header, read_header
from swinkit.checkpoints.opening import WeightFile
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources import recognise
from swinkit.checkpoints.translation import read
from swinkit.errors import CheckpointError

_HEAD_ROOTS = {"neck", "rpn_head", "roi_head", "bbox_head", "mask_head", "decode_head", "fpn"}


@dataclass(kw_only=True)
class Reading:
    """What a file says before anything is built.

    Attributes:
        family: of the backbone's names.
        native: the backbone, and a classifier's head, in swinkit's names.
        heads: neck and heads of a detector or segmenter, None without.
        header: what swinkit itself wrote, None in others' files.
    """

    opened: WeightFile
    family: Source
    native: NativeState
    heads: HeadState | None
    header: Header | None
    account: LoadReport

    @property
    def where(self) -> str:
        return self.opened.origin


def read_weights(opened: WeightFile) -> Reading:
    """Recognise a file and rename its tensors.

    Raises:
        CheckpointError: no Swin, or a tensor without those that belong to it.
    """
    family = recognise(opened.tensors, opened.origin)
    native = read(family, opened.tensors)
    if native.incomplete:
        raise CheckpointError(
            f"{opened.origin}: {native.incomplete[0]} stands without the tensors that belong to it"
        )
    others = {name: opened.tensors[name] for name in native.other}
    heads = read_heads(family.name, others, opened.meta, opened.origin)
    reading = Reading(
        opened=opened,
        family=family,
        native=native,
        heads=heads,
        header=read_header(opened.metadata or _text_entries(opened.meta), opened.origin),
        account=_start_report(opened, family, native),
    )
    if heads is None and _HEAD_ROOTS & {name.split(".")[0] for name in native.other}:
        reading.account.notes.append(
            "its neck and heads are of a kind that swinkit does not build; the backbone is read"
        )
    _to_float32(native.tensors, reading.account)
    return reading


def _text_entries(meta: dict[str, Any]) -> dict[str, str]:
    """A .pth file's record as a .safetensors file's header."""
    return {key: value for key, value in meta.items() if isinstance(value, str)}


def take_heads(reading: Reading) -> HeadState:
    """The heads, entered into the account: they are no longer another model's parts."""
    heads, account = reading.heads, reading.account
    assert heads is not None
    taken = {name for parts in heads.renamed.values() for name in parts} | {*heads.unexpected}
    account.other = [name for name in account.other if name not in taken]
    account.renamed |= _changed_names(heads.renamed)
    account.unexpected += heads.unexpected
    account.guesses += heads.guesses
    _to_float32(heads.tensors, account)
    return heads


def _start_report(opened: WeightFile, family: Source, native: NativeState) -> LoadReport:
    return LoadReport(
        origin=opened.origin,
        source=family.title,
        renamed=_changed_names(native.renamed),
        derived=native.num_derived,
        ignored=native.ignored,
        other=native.other,
        unexpected=native.unexpected,
        notes=list(opened.notes),
    )


def _changed_names(renamed: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        name: parts
        for name, parts in renamed.items()
        if parts not in ((name,), (f"backbone.{name}",))
    }


def _to_float32(tensors: Tensors, account: LoadReport) -> None:
    """Weights as float32 on the CPU; counters stay whole numbers."""
    kinds = set()
    for name, value in tensors.items():
        moved = value.detach().to(device="cpu")
        if value.is_floating_point():
            kinds.add(str(value.dtype).removeprefix("torch."))
            moved = moved.to(torch.float32)
        tensors[name] = moved
    text = f"numbers from {', '.join(sorted(kinds))} to float32"
    if kinds - {"float32"} and text not in account.changed:
        account.changed.append(text)
