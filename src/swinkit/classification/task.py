"""Classification as a task: what the rest of the package asks of it. Imports no PyTorch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from swinkit.backbones.variants import VARIANTS, count_flops
from swinkit.classification.data.files import folders_fault, recognize_files
from swinkit.classification.result import Classification
from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.errors import ConfigError
from swinkit.settings import Progress
from swinkit.task.base import NetworkSummary, OnError, Recognized, Report, ResultFormat, Split, Task
from swinkit.task.options import PredictOptions, WorkerOptions

if TYPE_CHECKING:
    from swinkit.classification.model import SwinClassifier
    from swinkit.classification.train import ClassificationTraining


@dataclass(frozen=True, kw_only=True)
class ClassificationPredictOptions(PredictOptions):
    """How many classes to name."""

    top_k: int = 3
    """Classifier: classes per image, most probable first."""

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top-k is {self.top_k}; it must be >= 1")


class ClassificationTask(Task["SwinClassifier", Classification]):
    """One class for the whole image."""

    name = "classification"
    model_kind = "classifier"
    data_kinds = ("folders", "lists")
    train_config = ClassificationTrainConfig
    recipe = "fine_tune"
    creator = "create_model"
    predict_options = ClassificationPredictOptions
    evaluate_options = WorkerOptions
    predict_batch_size = 16
    evaluate_batch_size = 32

    def network_names(self) -> Sequence[str]:
        """The published sizes, and swinkit's own."""
        return tuple(VARIANTS)

    def networks(self) -> list[NetworkSummary]:
        """At the size that each was published for."""
        return [
            NetworkSummary(
                name=variant.name,
                image_size=variant.image_size,
                windows=variant.config.windows,
                params=variant.params,
                multiply_adds=count_flops(variant.config, (variant.image_size,) * 2),
                flops=variant.flops,
                drop_path_rate=variant.drop_path_rate,
            )
            for variant in VARIANTS.values()
        ]

    def recognize(self, path: Path) -> Recognized | None:
        """A CSV list, lists per split, or folders of classes."""
        kind = recognize_files(path)
        return None if kind is None else Recognized(task=self.name, kind=kind)

    def layouts(self, path: Path) -> str:
        """Lists and folders, and why the folders here are none of classes."""
        fault = folders_fault(path) if path.is_dir() else None
        return f"for classes ({fault})" if fault else "a .csv list, or a folder of class folders"

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        """Classes and their counts."""
        from swinkit.classification.inspect import inspect_classification

        return inspect_classification(config, pictures=pictures, seed=seed)

    def predict(
        self,
        model: "SwinClassifier",
        images: Sequence[Path],
        options: ClassificationPredictOptions,
        *,
        batch_size: int,
        on_error: OnError,
        keep_images: bool,
        progress: Progress,
    ) -> Iterator[Classification]:
        """The probabilities of the classes."""
        return model.predict_iter(
            images, batch_size=batch_size, on_error=on_error, keep_images=keep_images
        )

    def result_format(
        self,
        model: "SwinClassifier",
        options: ClassificationPredictOptions,
        names: Mapping[str, str],
    ) -> "ClassificationFormat":
        """The best classes."""
        return ClassificationFormat(min(options.top_k, model.num_classes))

    def evaluate(
        self,
        model: "SwinClassifier",
        data: Any,
        options: WorkerOptions,
        *,
        split: Split | None,
        batch_size: int,
        out: Path | None,
        on_bad_image: Literal["skip", "refuse"],
        progress: Progress | None,
    ) -> tuple[Report, list[str]]:
        """Accuracy, confusion and calibration."""
        from swinkit.classification.data.splits import read_samples
        from swinkit.classification.evaluate import evaluate_classifier

        remarks: list[str] = []
        if isinstance(data, (str, Path)) and model.class_names:
            data, remarks = read_samples(data, model.class_names, split=split)
        report = evaluate_classifier(
            model,
            data,
            split=split,
            batch_size=batch_size,
            workers=options.workers,
            out=out,
            on_bad_image=on_bad_image,
            progress=progress,
        )
        return report, remarks

    def training(self, config: ClassificationTrainConfig) -> "ClassificationTraining":
        """Cross-entropy on labeled images."""
        from swinkit.classification.train import ClassificationTraining

        return ClassificationTraining(config)


class ClassificationFormat(ResultFormat[Classification]):
    """The best `top_k` classes of an image."""

    columns = ("rank", "label", "probability")

    def __init__(self, top_k: int) -> None:
        self.top_k = top_k
        self.heading = tuple(
            text for rank in range(top_k) for text in (f"{rank + 1}." if rank else "class", "%")
        )

    def entries(self, result: Classification) -> list[dict[str, Any]]:
        """One with the best classes."""
        return [result.to_dict(self.top_k)]

    def rows(self, result: Classification) -> list[tuple[str | int | float, ...]]:
        """One per class."""
        best = result.top(self.top_k)
        return [(rank, label, f"{value:.6f}") for rank, (label, value) in enumerate(best, start=1)]

    def cells(self, result: Classification) -> list[str]:
        """Name and per cent of each class."""
        best = result.top(self.top_k)
        return [text for label, value in best for text in (label, f"{100 * value:.1f}")]

    def plot(self, result: Classification, path: Path) -> None:
        """The image beside bars."""
        result.plot(path, k=self.top_k)


TASK = ClassificationTask()
