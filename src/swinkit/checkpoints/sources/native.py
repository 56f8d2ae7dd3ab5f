"""swinkit's own parameter names as a source: every row maps a name to itself."""

from pathlib import Path

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.save import check_suffix
from swinkit.checkpoints.sources.base import Export, HeadTable, Source
from swinkit.checkpoints.sources.tables import BLOCK, KeyTable, Rows, Tensors, rename
from swinkit.registry import TASKS, task_weights
from swinkit.settings import SizeHW

_MODULES = ("norm1", "norm2", "attention.projection", "mlp.fc1", "mlp.fc2")
_TENSORS = (
    "attention.qkv.weight",
    "attention.qkv.bias",
    "attention.q_bias",
    "attention.v_bias",
    "attention.logit_scale",
    "attention.position_bias.table",
    "attention.position_bias.mlp.0.weight",
    "attention.position_bias.mlp.0.bias",
    "attention.position_bias.mlp.2.weight",
)


def _same(name: str, *leaves: str, outer: bool = False) -> Rows:
    return rename(name, name, leaves=leaves, outer=outer)


TABLE = KeyTable(
    name="native",
    title="swinkit",
    anchor=r"stages\.0\.blocks\.0\.attention\.qkv\.weight",
    block=BLOCK,
    attention="attention",
    small_map_rule="shrink_both",
    inner=("backbone.",),
    patch_norm_optional=True,
    rows=(
        *_same("patch_embed.projection", "weight", "bias"),
        *_same("patch_embed.norm", "weight", "bias"),
        *_same("absolute_position"),
        *(row for name in _MODULES for row in _same(f"{BLOCK}.{name}", "weight", "bias")),
        *(row for name in _TENSORS for row in _same(f"{BLOCK}.{name}")),
        *_same("stages.{stage}.merge.norm", "weight", "bias"),
        *_same("stages.{stage}.merge.reduction", "weight"),
        *_same("norms.{stage}", "weight", "bias"),
        *_same("head.fc", "weight", "bias", outer=True),
    ),
)


class Native(Source):
    """Files of `swinkit.save`, and state dicts of swinkit's models."""

    name = "swinkit"
    tables = (TABLE,)
    head_roots = frozenset({"fpn"})

    def head_tables(self) -> tuple[HeadTable, ...]:
        """One for each task whose heads stand beside the backbone: names are their own."""
        weights = [task_weights(name) for name in TASKS]
        return tuple(
            HeadTable(task=own.task, targets=("native",), anchor=own.head_anchor)
            for own in weights
            if own.head_anchor is not None
        )

    def prefix(self, export: Export) -> str:
        return "" if export.task is None else "backbone."

    def obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        return []

    def differences(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        return []

    def write(self, export: Export, tensors: Tensors, path: Path) -> None:
        check_suffix(path)
        super().write(export, tensors, path)


SOURCE = Native()
