"""What a task is: the one object that the rest of the package asks, whatever the task.

`registry.py` lists the tasks. Importing a task's `task.py` needs no PyTorch, so that `--help` and
the recognition of data stay fast; its methods import what they need when they are called.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypedDict, TypeVar

from swinkit.errors import ImageError
from swinkit.images.sources import Stream
from swinkit.settings import Progress
from swinkit.task.options import EvaluateOptions, PredictOptions

if TYPE_CHECKING:
    from typing import Unpack

    from swinkit.data.config import DataConfig
    from swinkit.data.inspection import Inspection
    from swinkit.data.splits import HasPath
    from swinkit.task.format import ResultFormat
    from swinkit.task.model import TaskModel
    from swinkit.task.train_config import TrainConfig
    from swinkit.task.training import TrainingTask
    from swinkit.task.weights import TaskConfig


Model = TypeVar("Model", bound="TaskModel")
Result = TypeVar("Result")
Config = TypeVar("Config", bound="TaskConfig")
Split = Literal["train", "val", "test"]
OnError = Literal["raise", "skip"] | Callable[[ImageError], object]
FindImages = Callable[["DataConfig"], dict[str, list[Path]]]  # of a data set, by split or "all"


class EvaluateCall(TypedDict):
    """What every task's evaluation is told beside its options.

    Attributes:
        split: which part of the data; None takes the test split, else the validation split.
        batch_size: images in one forward pass.
        out: folder for the report's files and pictures.
        on_bad_image: "skip" leaves unreadable images out.
        progress: called with (images done, all).
    """

    split: Split | None
    batch_size: int
    out: Path | None
    on_bad_image: Literal["skip", "refuse"]
    progress: Progress | None


@dataclass(frozen=True, kw_only=True)
class Recognized:
    """What a path holds.

    Attributes:
        task: name of the task that such data trains.
        kind: how it is written; a value of `DataConfig.kind`.
        notes: what a user should know about the choice.
    """

    task: str
    kind: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    """A line of `swinkit models`.

    Attributes:
        name: argument of the task's `create_` function.
        image_size: side in pixels; None where any size is usual.
        windows: (height, width) in tokens, per stage.
        num_classes: of the published model; None for classifiers, whose weights tell.
        params: such as "28M", as published or counted.
        multiply_adds: of one image by the publisher's rule; None where nobody's rule counts it.
        flops: the published number, such as "4.5G"; None where there is none.
        drop_path_rate: of the training recipe.
    """

    name: str
    image_size: int | None = None
    windows: tuple[tuple[int, int], ...]
    num_classes: int | None = None
    params: str
    multiply_adds: int | None
    flops: str | None = None
    drop_path_rate: float


def counted_networks(
    configs: Mapping[str, Config],
    params: Mapping[str, int],
    multiply_adds: Callable[[Config], int | None],
) -> list[NetworkSummary]:
    """Lines of networks for images of any size, by their configurations and parameters."""
    return [
        NetworkSummary(
            name=name,
            windows=config.backbone.windows,
            num_classes=config.num_classes,
            params=round_millions(params[name]),
            multiply_adds=multiply_adds(config),
            drop_path_rate=config.backbone.drop_path_rate,
        )
        for name, config in configs.items()
    ]


class Report(Protocol):
    """The outcome of an evaluation."""

    def table(self) -> str:
        """The numbers as a table of text."""

    def numbers(self) -> dict[str, float]:
        """The few that sum it up, by name."""


class Task(ABC, Generic[Model, Result]):
    """One kind of answer about images: its networks, data, prediction, measure and training.

    Attributes:
        name: such as "detection"; also the name of the task's folder.
        model_kind: how messages name its models, such as "detector".
        data_kinds: values of `DataConfig.kind` that belong to it.
        train_config: settings of a training run.
        recipe: training recipe for its data where the user names none.
        hub_tag: what the Hugging Face hub calls such tasks.
        creator: name of the public function that makes its networks.
        predict_options, evaluate_options: dataclasses whose fields become options of the commands;
            a field that several tasks share comes from a common base class.
        name_lists: files of class names that evaluations can be told by a word.
        reads_last_map: whether its head reads nothing but the backbone's last map.
        predict_batch_size, evaluate_batch_size: images in one forward pass by default.
    """

    name: ClassVar[str]
    model_kind: ClassVar[str]
    data_kinds: ClassVar[tuple[str, ...]]
    train_config: ClassVar[type["TrainConfig"]]
    recipe: ClassVar[str]
    hub_tag: ClassVar[str] = "image-feature-extraction"
    creator: ClassVar[str]
    predict_options: ClassVar[type[PredictOptions]] = PredictOptions
    evaluate_options: ClassVar[type[EvaluateOptions]] = EvaluateOptions
    name_lists: ClassVar[Mapping[str, Path]] = {}
    reads_last_map: ClassVar[bool] = False
    predict_batch_size: ClassVar[int] = 1
    evaluate_batch_size: ClassVar[int] = 1

    @abstractmethod
    def network_names(self) -> Sequence[str]:
        """Names that the task's `create_` function takes."""

    @abstractmethod
    def networks(self) -> list[NetworkSummary]:
        """Size and cost of each named network."""

    @abstractmethod
    def recognize(self, path: Path) -> Recognized | None:
        """What data of this task lies there; None if there is none.

        Raises:
            DataError: it is this task's, but broken in a way that leaves no choice of a layout.
        """

    @abstractmethod
    def layouts(self, path: Path) -> str:
        """What `recognize` looks for, for the message where nothing is found."""

    @abstractmethod
    def names_in(self, path: Path) -> tuple[str, ...]:
        """The class names of a data set. Raises DataError."""

    def implied_names(self, model: Model, path: Path) -> tuple[str, ...] | None:
        """Names for the model's classes that a data set's names imply; None for its own ones.

        Raises:
            DataError: the model does not name its classes, and the data does not tell.
        """
        return None

    @abstractmethod
    def inspect(self, config: "DataConfig", *, pictures: int, seed: int) -> "Inspection":
        """Counts, problems and pictures of a data set.

        Args:
            config: where it is; `strict` is left to the caller.
            pictures: how many samples to draw, of every class first.
            seed: decides which.

        Raises:
            DataError: no such data set, or nothing usable in it.
        """

    def predict_arguments(
        self, model: Model, options: Any, progress: Progress
    ) -> Mapping[str, Any]:
        """What the options mean to the model's `predict_iter`; nothing by default.

        Args:
            options: a `predict_options`.
            progress: called with the pieces of an image that is worked on in pieces.

        Raises:
            SwinkitError: options that contradict each other or the model.
        """
        return {}

    def predict(
        self,
        model: Model,
        images: Sequence[Stream],
        options: Any,
        *,
        batch_size: int,
        on_error: OnError,
        keep_images: bool,
        progress: Progress,
    ) -> Iterator[Result]:
        """Results one by one, in the order of the images.

        Args:
            options, progress: as of `predict_arguments`.
            keep_images: keep the pixels in the results, for `ResultFormat.plot`.

        Raises:
            SwinkitError: options that contradict each other or the model, or a bad image.
        """
        predictor: Any = model
        results: Iterator[Result] = predictor.predict_iter(
            images,
            **self.predict_arguments(model, options, progress),
            batch_size=batch_size,
            on_error=on_error,
            keep_images=keep_images,
        )
        return results

    @abstractmethod
    def result_format(
        self, model: Model, options: Any, names: Mapping[str, str]
    ) -> "ResultFormat[Result]":
        """How the results of `predict` with these options are written.

        Args:
            names: of each image, by its path: with the folders that tell it from others.
        """

    @abstractmethod
    def evaluate(
        self, model: Model, data: Any, options: Any, **call: "Unpack[EvaluateCall]"
    ) -> tuple[Report, list[str]]:
        """Measure a model on labelled images; the report, and what of the data was left out.

        Args:
            data: a path, a `DataConfig`, or the task's splits or samples.
            options: an `evaluate_options`.
            call: see `EvaluateCall`.
        """

    @abstractmethod
    def training(self, config: Any) -> "TrainingTask[Model]":
        """A run's data, loss and measure; reads the data. Raises SwinkitError."""

    def training_with(self, config: Any, find: FindImages) -> "TrainingTask[Model]":
        """As `training`, for a task that needs no labels: `find` gives the images of any data."""
        return self.training(config)

    def samples_in(self, config: "DataConfig") -> Mapping[str, Sequence["HasPath"]] | None:
        """Samples of a data set, whose images are to be used without their labels, by split or
        under "all"; None: the images are all that lie below the path. Raises DataError."""
        return None


def round_millions(parameters: int) -> str:
    """Parameters as published tables print them, such as "28M" or "6.1M"."""
    millions = parameters / 1e6
    return f"{millions:.1f}M" if millions < 10 else f"{millions:.0f}M"
