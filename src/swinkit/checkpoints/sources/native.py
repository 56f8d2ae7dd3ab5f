"""swinkit's own parameter names as a source: every row maps a name to itself."""

from pathlib import Path

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.save import check_suffix
from swinkit.checkpoints.sources.base import Export, HeadTable, Source
from swinkit.checkpoints.sources.tables import BLOCK, KeyTable, Tensors, rename
from swinkit.registry import TASKS, task_weights
from swinkit.settings import SizeHW

_MODULES = (
    "patch_embed.projection",
    "patch_embed.norm",
    *(f"{BLOCK}.{name}" for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")),
    *(f"{BLOCK}.attention.{name}" for name in ("qkv", "projection")),
    *(f"{BLOCK}.attention.position_bias.mlp.{number}" for number in (0, 2)),
    "stages.{stage}.merge.norm",
    "stages.{stage}.merge.reduction",
    "norms.{stage}",
)
_TENSORS = (
    "absolute_position",
    *(f"{BLOCK}.attention.{name}" for name in ("q_bias", "v_bias", "logit_scale")),
    f"{BLOCK}.attention.position_bias.table",
)

TABLE = KeyTable(
    name="native",
    title="swinkit",
    anchor=r"stages\.0\.blocks\.0\.attention\.qkv\.weight",
    block=BLOCK,
    small_map_rule="shrink_both",
    inner=("backbone.",),
    patch_norm_optional=True,
    rows=(
        *(row for name in _MODULES for row in rename(name, name)),
        *(row for name in _TENSORS for row in rename(name, name, leaves=())),
        *rename("head.fc", "head.fc", outer=True),
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
