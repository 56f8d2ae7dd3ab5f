"""What the models of all tasks have in common: named classes, and how images are prepared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import CheckpointError, ConfigError
from swinkit.images.fitting import KIND as FIT
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.settings import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a model that its weights alone do not tell.

    Attributes:
        class_names: one per logit, or None where unknown.
        preprocessing: how an image must be prepared: `Preprocessing` for a classifier, whose
            input has one size; `Fit` for detectors and segmenters.
        metrics: measured numbers, such as {"val_top1": 0.93}.
        provenance: where the weights come from, such as source file and its hash.
    """

    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | Fit = field(default_factory=Preprocessing)
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**to_plain(self), "preprocessing": self.preprocessing.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        """Inverse of `to_dict`, also after a trip through JSON."""
        prepared = values.get("preprocessing", {})
        kind = Fit if prepared.get("kind") == FIT else Preprocessing
        return from_plain(cls, {**values, "preprocessing": kind.from_dict(prepared)})


Prepare = TypeVar("Prepare", Fit, Preprocessing)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """One thing that a model says of an image, to be explained.

    Attributes:
        name: such as "cat 0.93" or "car 0.88 at 10 20 50 60".
        score: from `B C H W` images and the backbone's maps `B C h w` of each stage to the (B,)
            logarithm of the answer's probability, differentiable.
    """

    name: str
    score: Callable[[Tensor, Sequence[Tensor]], Tensor]


class TaskModel(nn.Module, Generic[Prepare]):
    """A network for `num_classes` classes, whose names and preprocessing `info` holds.

    Attributes:
        backbone, num_classes: of K classes; set by the network.
        task: name of its task in `swinkit.registry`.
        prepare_type: the kind of preprocessing it needs: `Preprocessing` where all images have one
            size, `Fit` where the size is free.
        runner: what predictions send images through in the network's place, such as an engine; it
            takes what the network takes and gives what it gives, on the CPU. None: the network.
        file_engine: the engine of the exported file that this model was loaded from, which gives
            the answers and holds no weights; None: the model has its weights.
    """

    backbone: SwinBackbone
    num_classes: int
    task: ClassVar[str]
    runner: Callable[..., Any] | None = None
    file_engine: str | None = None
    prepare_type: ClassVar[type[Fit] | type[Preprocessing]]

    @property
    def info(self) -> ModelInfo:
        """Class names, preprocessing, metrics and provenance.

        Raises, where it is set:
            ConfigError: another number of names than of classes, or the preprocessing of another
                task.
        """
        return self._info

    @info.setter
    def info(self, info: ModelInfo) -> None:
        if info.class_names is not None and len(info.class_names) != self.num_classes:
            raise ConfigError(
                f"{len(info.class_names)} class names for a model of {self.num_classes} classes"
            )
        needed, given = self.prepare_type, type(info.preprocessing)
        if given is not needed:
            raise ConfigError(
                f"a model for {self.task} prepares images by {needed.__name__}; "
                f"got {given.__name__}"
            )
        self._info = info

    def need_weights(self) -> None:
        """For what an engine cannot do.

        Raises:
            CheckpointError: the model runs an exported file, which gives its answers alone.
        """
        if any(value.is_meta for value in self.parameters()):
            raise CheckpointError(
                "an exported file gives a model's answers and nothing else of it; name the weights "
                "that it was made from"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the runner behind: what an engine holds cannot be copied."""
        return {**self.__dict__, "runner": None}

    @property
    def preprocessing(self) -> Prepare:
        """How an image becomes the network's input."""
        return self.info.preprocessing  # type: ignore[return-value]

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class; "class 0", "class 1", ... where they are unknown."""
        if self.info.class_names is not None:
            return self.info.class_names
        return tuple(f"class {number}" for number in range(self.num_classes))

    def features(self, images: Tensor) -> Tensor:
        """What the backbone makes of images, as one vector each: the mean of the last map.

        Args:
            images: `B channels H W`, prepared as `preprocessing` does.

        Returns:
            `B C`, with the C channels of the last stage.

        Raises:
            CheckpointError: a model that runs an exported file.
        """
        self.need_weights()
        return self.backbone.forward_last(images).mean(1)

    def answers(self, images: Tensor, maps: Sequence[Tensor]) -> Sequence[Answer]:
        """What the model says of one image, best first, for explanations; none by default.

        Args:
            images: `1 C H W`, prepared.
            maps: the backbone's of it.
        """
        return ()

    @property
    def run(self) -> Callable[..., Any]:
        """What a batch of prepared images goes through: the runner, or the network itself."""
        return self.runner or self

    @property
    def device(self) -> torch.device:
        """Where `run` takes its images."""
        return torch.device("cpu") if self.runner else next(self.parameters()).device

    def set_image_size(self, size: int | Literal["original"]) -> None:
        """Scale images of later predictions to another size.

        Args:
            size: side in pixels, the short one where sizes are free; "original" leaves images in
                their own size.

        Raises:
            ConfigError: "original" for a model whose images have one size.
        """
        self.info = replace(self.info, preprocessing=self.preprocessing.of_size(size))
