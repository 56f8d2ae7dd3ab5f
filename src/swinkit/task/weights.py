"""What weight files need to know of a task: one object per task, in its folder's `checkpoint.py`.

Importing such a file does not import the task's networks, which bring torchvision's operators.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel

Tensors = Mapping[str, Tensor]


class Engine(Protocol):
    """One of `swinkit.engines`: batches in, the network's outputs out; `origin` names its file."""

    origin: str

    def __call__(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]: ...


class TaskConfig(Protocol):
    """The architecture of a task's model: a frozen dataclass."""

    @property
    def backbone(self) -> SwinConfig: ...
    @property
    def num_classes(self) -> int: ...


Config = TypeVar("Config", bound=TaskConfig)


@dataclass(kw_only=True)
class Evidence:
    """What is known beside the tensors when an architecture is inferred, and what was concluded.

    Attributes:
        origin: how messages call the file.
        settings: of the task's configuration, by its own names, as something beside the tensors
            states them.
        guesses: conclusions that nothing proves.
        notes: where the rest was read.
    """

    origin: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ImageEvidence:
    """What is known of the images that a loaded model takes.

    Attributes:
        size_hw: that the backbone is made for, in pixels.
        requested_hw: that the caller asks for; with two equal sides the long one grows in
            proportion, where the size is free.
        channels: of the image.
        stated: fields of `Preprocessing` from what stands beside the weights.
        stored: in swinkit's own header.
    """

    size_hw: SizeHW
    requested_hw: SizeHW | None
    channels: int
    stated: Mapping[str, Any] = field(default_factory=dict)
    stored: Preprocessing | Fit | None = None


class Agreement(NamedTuple):
    """Two networks on the same images.

    Attributes:
        difference: the largest of any output, in units of that output's standard deviation.
        same: share of places or images whose best class is the same. Of a detector the share of
            objects that both find, and `difference` is theirs.
    """

    difference: float
    same: float


class TaskWeights(ABC, Generic[Config]):
    """How a task's model is made from named tensors.

    Attributes:
        task: its name in `swinkit.registry`.
        head_anchor: regular expression of a native key that the heads of every such model have;
            None for a classifier, whose head stands in the tables of the backbones.
        format_version: of swinkit's own files, the first that held such models.
        image_kernels: native names of kernels, beside the backbone's, that read the image.
        labels: number of classes to the data set that it stands for in published files, and the
            list of its classes, one a line.
        published_fit: preprocessing of the published evaluation, of models for any image size.
        compiled_part: the method that torch.compile takes: the network, or the part of it whose
            shapes do not depend on what is found.
        takes_sizes: whether the network takes, beside images, the size of each without padding.
        exported_in_half: whether exported files may compute in float16 or INT8.
        same_answers: share of answers that an exported file must have in common with the model.
        any_size: whether its models take images of any size; else the weights are made for one.
        bias_tables: how V1's tables of such a model move to other windows.
    """

    task: ClassVar[str]
    head_anchor: ClassVar[str | None]
    format_version: ClassVar[int] = 2
    image_kernels: ClassVar[tuple[str, ...]] = ()
    labels: ClassVar[Mapping[int, tuple[str, Path]]] = {}
    published_fit: ClassVar[Fit] = Fit()
    compiled_part: ClassVar[str] = "forward"
    takes_sizes: ClassVar[bool] = False
    exported_in_half: ClassVar[bool] = True
    same_answers: ClassVar[float] = 0.0
    any_size: ClassVar[bool] = True
    bias_tables: ClassVar[Literal["bicubic", "geometric"]] = "bicubic"

    @abstractmethod
    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> Config:
        """The configuration in the header of a file of swinkit's own.

        Raises:
            ConfigError, KeyError, TypeError: values that are none.
        """

    @abstractmethod
    def infer(self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> Config:
        """The configuration from the heads' tensors, in native names.

        Raises:
            CheckpointError: heads that swinkit does not build, or that contradict each other.
        """

    @abstractmethod
    def class_tensors(self, tensors: Tensors, config: Config) -> list[str]:
        """Names of the tensors whose rows belong to the classes."""

    @abstractmethod
    def build(self, config: Config) -> TaskModel[Any]:
        """The network with fresh weights."""

    def graph(self, model: Any) -> tuple[nn.Module, tuple[str, ...]]:
        """What an exported file holds of a model, and the names of what it gives."""
        return model, ("logits",)

    def compare(self, found: Any, expected: Any, image_hw: SizeHW) -> Agreement:
        """Answers to a batch of images, as the network gives them, from two ways to run it."""
        return compare_tensors([found], [expected])

    def runner(self, engine: Engine, config: Config) -> Callable[..., Any]:
        """An engine in the place of the network that it holds; takes and gives what that does."""

        def run(images: Tensor) -> Tensor:
            return engine(images)[0]

        return run

    @abstractmethod
    def describe(self, config: Config) -> str:
        """The architecture in a line."""

    def small_map_rule(self, version: int) -> SmallMapRule | None:
        """That the heads' packages compute with; None: the source's own."""
        return None

    def differences(self, config: Config, assumed: Mapping[str, Any]) -> list[str]:
        """What another package's own configuration must say for the same results.

        Args:
            assumed: settings that the package has where nothing else is said.
        """
        return []

    def shared_rows(self, old: int, new: int) -> tuple[list[int], str] | None:
        """Rows that the classes of two data sets share, and how a report says it."""
        return None

    def class_names(self, num_classes: int, *, published: bool) -> tuple[str, ...] | None:
        """Names that a number of classes stands for.

        Args:
            published: whether the weights were loaded by a published name.
        """
        if num_classes not in self.labels:
            return None
        lines = self.labels[num_classes][1].read_text("utf-8").splitlines()
        return tuple(line for line in lines if not line.startswith("#"))

    def preprocessing(self, known: ImageEvidence) -> Preprocessing | Fit:
        """How images are prepared for a loaded model."""
        fit = known.stored if isinstance(known.stored, Fit) else self.published_fit
        if known.requested_hw is not None and fit.short_side and fit.long_side:
            short, long = min(known.requested_hw), max(known.requested_hw)
            if short == long:
                long = round(short * fit.long_side / fit.short_side)
            fit = replace(fit, short_side=short, long_side=long)
        statistics = {name: known.stated[name] for name in ("mean", "std") if name in known.stated}
        return replace(fit.for_channels(known.channels), **statistics)


class FixedSizeWeights(TaskWeights[Config]):
    """Of a task whose images have one size."""

    any_size = False

    def preprocessing(self, known: ImageEvidence) -> Preprocessing:
        """The stored one where it fits; else what is stated, on top of the official evaluation."""
        stored, made_for = known.stored, (known.size_hw, known.channels)
        if isinstance(stored, Preprocessing) and (stored.size_hw, stored.channels) == made_for:
            return stored
        base = Preprocessing.for_size(known.size_hw, channels=known.channels)
        if isinstance(stored, Preprocessing) and stored.channels == known.channels != 3:
            # Of bands the data's own statistics are all that is known, whatever the size.
            base = replace(base, mean=stored.mean, std=stored.std, shown_bands=stored.shown_bands)
        return replace(base, **known.stated)


def describe_backbone(config: SwinConfig) -> str:
    """Its architecture in a line."""
    return (
        f"Swin V{config.version}, {config.embed_dim} channels, depths {list(config.depths)}, "
        f"heads {list(config.num_heads)}"
    )


def compare_tensors(found: Sequence[Tensor], expected: Sequence[Tensor]) -> Agreement:
    """Of outputs in the same order, with classes or channels along axis 1."""
    pairs = list(zip(found, expected, strict=True))
    return Agreement(
        max(_difference(ours, theirs) for ours, theirs in pairs),
        min(float((ours.argmax(1) == theirs.argmax(1)).double().mean()) for ours, theirs in pairs),
    )


def _difference(found: Tensor, expected: Tensor) -> float:
    """What is not finite is off without end."""
    gap = float((found - expected).abs().max() / expected.std(correction=0).clamp_min(1e-12))
    return gap if gap == gap else float("inf")
