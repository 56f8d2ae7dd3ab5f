"""Classification as a task: what the rest of the package asks of it. Imports no PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.backbones.variants import VARIANTS, count_flops
from swinkit.classification.data.files import folders_fault, read_files, recognize_files
from swinkit.classification.data.folders import LabeledPath
from swinkit.classification.result import Classification
from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.data.splits import name_some
from swinkit.errors import DataError
from swinkit.task.base import EvaluateCall, NetworkSummary, Recognized, Report, Task
from swinkit.task.class_names import read_names
from swinkit.task.format import ResultFormat
from swinkit.task.options import PredictOptions, WorkerOptions, check_range

if TYPE_CHECKING:
    from typing import Unpack

    from swinkit.classification.model import SwinClassifier
    from swinkit.classification.train import ClassificationTraining


IMAGENET = Path(__file__).with_name("imagenet.txt")


@dataclass(frozen=True, kw_only=True)
class ClassificationPredictOptions(PredictOptions):
    """How many classes to name."""

    top_k: int = 3
    """Classifier: classes per image, most probable first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("top-k", self.top_k, 1)


class ClassificationTask(Task["SwinClassifier", Classification]):
    """One class for the whole image."""

    name = "classification"
    model_kind = "classifier"
    data_kinds = ("folders", "lists")
    train_config = ClassificationTrainConfig
    recipe = "fine_tune"
    hub_tag = "image-classification"
    creator = "create_model"
    predict_options = ClassificationPredictOptions
    evaluate_options = WorkerOptions
    name_lists = {"imagenet": IMAGENET}  # noqa: RUF012
    reads_last_map = True
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

    def names_in(self, path: Path) -> tuple[str, ...]:
        """Those of the folders or lists, of all splits."""
        found = read_files(path, need_train=False).by_split
        return tuple(sorted({label for images in found.values() for _, label in images}))

    def implied_names(self, model: "SwinClassifier", path: Path) -> tuple[str, ...] | None:
        """ImageNet's WordNet ids, where the data has these and the model ImageNet's classes."""
        own, imagenet = model.info.class_names, read_names(IMAGENET)
        published = own is None or own[0].startswith("tench")  # ImageNet's first class
        if not published or (own is not None and model.num_classes != len(imagenet)):
            return None
        names = self.names_in(path)
        if model.num_classes == len(imagenet) and set(names) <= set(imagenet):
            return imagenet
        if own is None and not set(names) <= set(model.class_names):
            raise DataError(
                f"{path}: what its classes {name_some(names, 3)} are to weights that do not name "
                "theirs is unknown; tell by --class-names: a file with a name a line, sorted, "
                "numeric or imagenet"
            )
        return None

    def samples_in(self, config: DataConfig) -> Mapping[str, Sequence[LabeledPath]] | None:
        """Those of a list; in folders they are what is below."""
        if recognize_files(config.path) != "lists":
            return None
        return read_files(config.path, need_train=False).by_split

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        """Classes and their counts."""
        from swinkit.classification.inspect import inspect_classification

        return inspect_classification(config, pictures=pictures, seed=seed)

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
        **call: "Unpack[EvaluateCall]",
    ) -> tuple[Report, list[str]]:
        """Accuracy, confusion and calibration."""
        from swinkit.classification.data.splits import read_samples
        from swinkit.classification.evaluate import evaluate_classifier

        remarks: list[str] = []
        if isinstance(data, (str, Path)) and model.class_names:
            data, remarks = read_samples(data, model.class_names, split=call["split"])
        report = evaluate_classifier(
            model,
            data,
            workers=options.workers,
            **call,
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
