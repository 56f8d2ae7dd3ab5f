"""What differs between tasks in training, gathered in one class each. B batch, C channels, H W map.

The rest (steps, schedule, averages, processes, resuming, the run folder) is shared.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from matplotlib.figure import Figure
from torch import Tensor, distributed, nn

from swinkit.data.bands import own_statistics
from swinkit.data.loading import EpochDataset
from swinkit.data.problems import describe_problems
from swinkit.data.splits import Splits
from swinkit.pictures.figures import ScorePanel
from swinkit.settings import SizeHW
from swinkit.task.model import Prepare, TaskModel
from swinkit.task.options import EvaluateOptions
from swinkit.task.train_config import TrainConfig

Model = TypeVar("Model", bound=TaskModel[Any])
SHOWN_PROBLEMS = 20  # of each kind, in the log of a run
Batch = Any  # what the task's loader gives


@dataclass(frozen=True, kw_only=True)
class Step:
    """One forward pass in training.

    Attributes:
        loss: what is minimized, a mean over the batch.
        terms: its parts by name, for results.csv; detached by the caller.
        shown: what `preview` needs to draw the batch.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)


class LoadWeights(Protocol):
    """`swinkit.load`, which the engine hands in: the tasks stand below the checkpoints.

    It logs its report, and gives the model that the weights hold, or a part of it.
    """

    def __call__(
        self,
        source: str,
        *,
        task: str | None = None,
        image_size: int | None = None,
        window_size: int | Sequence[SizeHW] | None = None,
        num_classes: int | None = None,
        in_channels: int | None = None,
    ) -> nn.Module: ...


def gather(state: Any) -> list[Any]:
    """What each process of the run passes here, in all of them; of a single process its own."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [state]
    states: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(states, state)
    return states


class Validation(nn.Module, ABC):
    """Counts over the validation split, in every process of the run."""

    @abstractmethod
    def reset(self) -> None:
        """Start anew."""

    @abstractmethod
    def update(self, model: Any, batch: Batch, real: Tensor) -> None:
        """Count a batch.

        Args:
            model: the network, in evaluation.
            batch: from the validation loader.
            real: (B,) bool; False for images that a sampler repeats to even out processes.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The columns of results.csv, over all processes."""

    def picture(self) -> Figure | None:
        """What the validation saw, for the run's folder; None where there is nothing to see."""
        return None


class TrainingTask(ABC, Generic[Model]):
    """A kind of network with its data, loss and measure.

    Args:
        config: of the run; the data is read at once.

    Attributes:
        most_skipped: steps in a row that may be left out because they are not finite, before the
            run gives up; 0 gives up at the first.
        uneven: whether a step may leave parameters without gradients, which processes that train
            together need to know.
    """

    most_skipped: ClassVar[int] = 0
    uneven: ClassVar[bool] = False
    collate: Callable[[list[Any]], Batch] | None = None

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.splits: Any = self.load()
        data = replace(config.data, channels=self.splits.channels)
        self.config = replace(config, data=data)
        paths = [sample.path for sample in self.splits.train]
        self.statistics = own_statistics(data, paths)
        if config.train_on == "train+val":
            merged = [*self.splits.train, *self.splits.val]
            self.splits = replace(self.splits, train=merged)

    @abstractmethod
    def load(self) -> Splits[Any]:
        """The data. Raises DataError."""

    @abstractmethod
    def build_model(self, load: LoadWeights) -> Model:
        """The network with its starting weights, and in `info` what is known of them.

        Args:
            load: reads `config.model.weights`.

        Raises:
            ConfigError: no such model, or settings that contradict each other.
            CheckpointError: starting weights that cannot be used.
        """

    def normalized(self, preprocessing: Prepare) -> Prepare:
        """A preprocessing of the run's images with its own statistics and choice of bands."""
        shown = self.config.data.shown_bands
        own = self.statistics
        if own is not None:
            preprocessing = replace(preprocessing, mean=own.mean, std=own.std)
        return replace(preprocessing, shown_bands=shown)

    @abstractmethod
    def dataset(self, model: Model, samples: list[Any], *, train: bool) -> EpochDataset:
        """Samples prepared for the network, varied for training."""

    @abstractmethod
    def probe_shape(self, model: Model) -> tuple[int, int, int]:
        """(C, H, W) of the largest training image."""

    @abstractmethod
    def probe(self, model: Model, images: Tensor) -> Tensor:
        """Some loss of made-up images (B, C, H, W), as costly in memory as the real one."""

    def images_in(self, batch: Batch) -> int:
        """B; of a batch that ends in its (B,) indices."""
        return len(batch[-1])

    def to_device(self, batch: Batch, device: torch.device) -> Batch:
        """The batch's tensors on a device."""
        return tuple(part.to(device, non_blocking=True) for part in batch)

    @abstractmethod
    def step(self, model: Model, batch: Batch, seed: int) -> Step:
        """Loss of a batch; what chance decides in it follows from `seed`."""

    @abstractmethod
    def validation(self, model: Model) -> Validation:
        """The counts of this run's validations."""

    @abstractmethod
    def score(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """What the best epoch has the most of."""

    def rank(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """The score, or the number of the epoch where validation images are trained on."""
        if self.config.train_on == "train+val":
            return (row["epoch"],)
        return self.score(row)

    @abstractmethod
    def headline(self, row: Mapping[str, float]) -> str:
        """The validation in the line of an epoch."""

    @property
    @abstractmethod
    def panel(self) -> ScorePanel:
        """Which columns curves.png shows as scores."""

    @abstractmethod
    def preview(self, model: Model, shown: dict[str, Any]) -> Figure:
        """A training batch as the network sees it, with its truth."""

    def evaluate_options(self) -> EvaluateOptions | None:
        """How the best weights are measured; None takes the task's defaults."""
        return None

    @abstractmethod
    def describe_size(self, model: Model) -> str:
        """The size of the images, for people."""

    def problems(self) -> list[str]:
        """What of the data is not sound, counted by kind, and the first of each."""
        return describe_problems(self.splits.problems, SHOWN_PROBLEMS)


class FixedSizeTraining(TrainingTask[Model]):
    """Training on images of one size."""

    def probe_shape(self, model: Model) -> tuple[int, int, int]:
        """Every image has this shape."""
        return (model.backbone.config.in_channels, *model.preprocessing.size_hw)

    def describe_size(self, model: Model) -> str:
        """Height x width."""
        return "x".join(map(str, model.preprocessing.size_hw))
