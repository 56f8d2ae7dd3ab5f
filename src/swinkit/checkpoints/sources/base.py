"""What a source is: the one object that the rest of `checkpoints` asks about a package's files.

A new source is one file in this folder that holds its `SOURCE`, and one line in `__init__.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes, Windows, fit_window, map_hw
from swinkit.checkpoints.published import PublishedWeights
from swinkit.checkpoints.save import Model, backbone_of, header_of, write_pickle, write_safetensors
from swinkit.checkpoints.sources.tables import KeyTable, Rows, Tensors, any_match
from swinkit.errors import CheckpointError
from swinkit.parsing import integer, number, sequence
from swinkit.settings import SizeHW
from swinkit.task.model import ModelInfo, TaskModel
from swinkit.windows.position_bias import relative_position_index


@dataclass(kw_only=True)
class WeightFile:
    """An opened file, or a state dict.

    Attributes:
        tensors: by foreign name.
        origin: how messages call it.
        name: file name, hub id or published name: it may tell the window and the image size.
        sha256: of the file, None for a state dict.
        metadata: header of a .safetensors file.
        beside: contents of the JSON files beside the weights, by file name.
        published: the row of the table of published weights, when it was loaded by that name.
        meta: what a training program wrote beside the state dict: versions, class names.
        notes: what opening decided.
    """

    tensors: Tensors
    origin: str
    name: str = ""
    sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: PublishedWeights | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class HeadTable:
    """The names of one kind of neck and heads that a source has, relative to the whole model.

    Attributes:
        task: what the heads do; a name in `swinkit.registry`.
        targets: of `swinkit convert`, to which such heads go.
        anchor: regular expression of a key that every such file has.
        marks: each must match some key.
        rows: the table, from the names that are to be read or written; None: names are native.
        settings: of the task's configuration, which the tensors do not tell, from what stands
            beside the weights, by native names.
        obstacles: why a model's configuration cannot be expressed.
        inside: regular expression of names that belong to the heads and stand in the backbone.
    """

    task: str
    targets: tuple[str, ...] = ()
    anchor: str
    marks: tuple[str, ...] = ()
    rows: Callable[[Mapping[str, Tensor]], Rows] | None = None
    settings: Callable[[WeightFile], dict[str, Any]] = lambda file: {}
    obstacles: Callable[[Any], list[str]] = lambda config: []
    inside: str | None = None

    def matches(self, names: Mapping[str, object]) -> bool:
        return all(any_match(mark, names) for mark in self.marks)


@dataclass(frozen=True, kw_only=True)
class Export:
    """A model on its way to another package.

    Attributes:
        target: name of the layout.
        image_hw: pixels that the result is made for.
        task: name of the model's task, None for a bare backbone.
        has_heads: whether it has necks and heads that stand beside the backbone's tables.
    """

    model: Model
    target: str
    image_hw: SizeHW
    task: str | None
    has_heads: bool

    @property
    def backbone(self) -> SwinConfig:
        """Configuration of the model's backbone."""
        return backbone_of(self.model).config

    @property
    def info(self) -> ModelInfo | None:
        return self.model.info if isinstance(self.model, TaskModel) else None


def numbers(settings: Mapping[str, Any], name: str, where: str) -> tuple[float, ...] | None:
    """A list of numbers among settings beside the weights, None where it is not stated.

    Raises:
        CheckpointError: something else is there.
    """
    value = settings.get(name)
    if value is None:
        return None
    found = tuple(
        item for item in map(number, value if isinstance(value, list) else ()) if item is not None
    )
    if not found or len(found) != len(value):
        raise CheckpointError(f"{where}: {name} is {value!r}; give a list of numbers")
    return found


def part(settings: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number in 0..1 among settings beside the weights, None where it is not stated.

    Raises:
        CheckpointError: something else is there.
    """
    value = settings.get(name)
    found = number(value)
    if value is not None and (found is None or not 0 < found <= 1):
        raise CheckpointError(f"{where}: {name} is {value!r}; give a number above 0, at most 1")
    return found


def integers(value: Any, where: str) -> int | tuple[int, ...]:
    """One integer, or a list of them; 0 for a list of zeros. Raises CheckpointError."""
    items = [integer(item) for item in (sequence(value) or [value])]
    found = tuple(item for item in items if item is not None and item >= 0)
    if len(found) != len(items):
        raise CheckpointError(f"{where} is {value!r}; give integers")
    if isinstance(value, list):
        return found if any(found) else 0
    return found[0]


def pixels(value: Any, where: str) -> SizeHW | None:
    """One side or (height, width); None where it is not stated. Raises CheckpointError."""
    if value is None:
        return None
    sides = [integer(side) for side in (sequence(value) or [value, value])]
    if len(sides) != 2 or sides[0] is None or sides[1] is None or min(sides[0], sides[1]) < 1:
        raise CheckpointError(f"{where} is {value!r}; give pixels, one side or height and width")
    return sides[0], sides[1]


class Source:
    """Everything swinkit knows about one package's files. A subclass overrides what differs.

    Attributes:
        name: how files of this package are called in lists.
        tables: of backbones; exactly one matches a file.
        heads: of detectors and segmenters.
        wrappers: keys under which its training programs keep the state dict, best first.
        files_beside: JSON files beside the weights that it reads.
        head_roots: first parts of the names of necks and heads, in whole models.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[KeyTable, ...]]
    heads: ClassVar[tuple[HeadTable, ...]] = ()
    wrappers: ClassVar[tuple[str, ...]] = ()
    files_beside: ClassVar[tuple[str, ...]] = ()
    head_roots: ClassVar[frozenset[str]] = frozenset()

    # Reading

    def head_tables(self) -> tuple[HeadTable, ...]:
        """Tables of heads, the most specific first."""
        return self.heads

    def modernize(
        self, tensors: Mapping[str, Tensor], file: WeightFile
    ) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
        """Heads of earlier versions in the names and the order of the present one.

        Returns:
            Present name to (name in the file, tensor), and what was guessed.
        """
        return {name: (name, value) for name, value in tensors.items()}, []

    def unsupported(self, file: WeightFile) -> list[str]:
        """What this package's settings beside the weights ask for that swinkit does not compute."""
        return []

    def stated_sizes(self, file: WeightFile) -> StatedSizes | None:
        """Windows and image size as this package's settings beside the weights state them."""
        return None

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        """Class names from this package's settings beside the weights."""
        return None

    def image_settings(self, file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
        """Fields of `Preprocessing` as this package's settings beside the weights state them."""
        return {}

    def size_notes(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """At which sizes of images a model of this package, built for one, computes otherwise."""
        return []

    # Writing

    def table_for(self, config: SwinConfig) -> KeyTable:
        """The table for a backbone of this configuration."""
        return self.tables[0]

    def prefix(self, export: Export) -> str:
        """What stands in front of the backbone's names in a whole model."""
        return "backbone." if export.has_heads else ""

    def obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """Why no model of this package can hold such a backbone; empty where it can."""
        table, last = self.table_for(config), config.num_stages - 1
        found = []
        if config.version not in table.versions:
            found.append(f"it has no Swin V{config.version}")
        if table.norms_last_stage_only and not set(config.norm_stages) <= {last}:
            found.append(f"it norms the last stage only, this model stages {config.norm_stages}")
        if config.absolute_position_hw and "absolute_position" not in table.native_names:
            found.append("it has no absolute position embedding")
        if not (config.patch_norm or table.patch_norm_optional):
            found.append("it always norms the patch embedding")
        return found + self.window_obstacles(config, image_hw)

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """By default: one square window for all stages, as far as `built_windows` makes it."""
        windows = config.windows
        if any(height != width for height, width in (*windows, *config.pretrained_windows)):
            return [f"its windows are square, not {windows}"]
        largest = max(windows)
        built = self.built_windows(config, (largest,) * config.num_stages, image_hw)
        if built != windows:
            size = f"{image_hw[0]}x{image_hw[1]}"
            message = f"with window {largest[0]} at {size} it would build windows {built}"
            return [f"{message}, not {windows}"]
        return []

    def built_windows(self, config: SwinConfig, windows: Windows, image_hw: SizeHW) -> Windows:
        """Windows that this package's constructor builds where it is asked for `windows`."""
        return windows

    def differences(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """Where the same weights give other numbers in a model of this package."""
        table = self.table_for(config)
        rule, other = config.small_map_rule, table.small_map_rule
        if rule == other:
            return []
        for stage, window in enumerate(config.windows):
            size_hw = map_hw(image_hw, config.patch_size, stage)
            fits = [side <= extent for side, extent in zip(size_hw, window, strict=True)]
            if any(fits) and ("keep" in (rule, other) or not all(fits)):
                return [
                    f"at {image_hw[0]}x{image_hw[1]} the map of stage {stage + 1} fits in one "
                    f"window, where {table.title} has rule {other} and this model {rule}; "
                    "outputs differ"
                ]
        return []

    def buffers(self, config: SwinConfig) -> Mapping[str, str]:
        """Derived buffers that the package expects, to their names in a block."""
        return self.table_for(config).buffers

    def position_index(self, window: SizeHW) -> Tensor:
        """The buffer `relative_position_index` in its shape."""
        return relative_position_index(window)

    def class_record(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Class names as this package's programs write them beside a state dict."""
        return {}

    def write(self, export: Export, tensors: Tensors, path: Path) -> None:
        """Write the file, or files. Raises CheckpointError, SwinkitError."""
        if path.suffix == ".safetensors":
            write_safetensors(tensors, path, header_of(export.model))
        elif path.suffix in (".pth", ".pt"):
            write_pickle(self.wrap(export, tensors), path)
        else:
            raise CheckpointError(f"{path}: give the target a name in .safetensors or .pth")

    def wrap(self, export: Export, tensors: Tensors) -> dict[str, Any]:
        """What a .pth file of this package holds.

        Beside the weights of a model with heads stand the class names, as the package writes them,
        and swinkit's own header, which the package passes over.
        """
        wrapper = self.table_for(export.backbone).wrapper
        content: dict[str, Any] = {wrapper: tensors} if wrapper else dict(tensors)
        if not export.has_heads:
            return content
        record: dict[str, Any] = dict(header_of(export.model))
        names = export.info.class_names if export.info else None
        return {"meta": record | (self.class_record(names) if names else {}), **content}


def shrunk_windows(
    config: SwinConfig, windows: Windows, image_hw: SizeHW, rule: SmallMapRule
) -> Windows:
    """Windows shrunk to the maps of an image of that size."""
    return tuple(
        fit_window(window, map_hw(image_hw, config.patch_size, stage), rule)
        for stage, window in enumerate(windows)
    )
