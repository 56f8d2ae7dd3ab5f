"""Masked-image pretraining as a task: what the rest of the package asks. Imports no PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.backbones.variants import VARIANTS
from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.errors import DataError
from swinkit.pretraining.result import Reconstruction
from swinkit.pretraining.train_config import PretrainingTrainConfig
from swinkit.task.base import EvaluateCall, FindImages, NetworkSummary, Recognized, Report, Task
from swinkit.task.format import ResultFormat
from swinkit.task.options import EvaluateOptions, PredictOptions

if TYPE_CHECKING:
    from typing import Unpack

    from swinkit.pretraining.model import SwinMaskedImageModel
    from swinkit.pretraining.train import PretrainingTraining


class PretrainingTask(Task["SwinMaskedImageModel", Reconstruction]):
    """Hidden squares of images, filled in; for the sake of the backbone that learns it."""

    name = "pretraining"
    model_kind = "masked image model"
    data_kinds = ()
    train_config = PretrainingTrainConfig
    recipe = "pretrain"
    creator = "create_masked_image_model"
    predict_batch_size = 16
    evaluate_batch_size = 32

    def network_names(self) -> Sequence[str]:
        """Every backbone, from the smallest."""
        return tuple(VARIANTS)

    def networks(self) -> list[NetworkSummary]:
        """None of its own: the classifiers' lines tell the backbones' sizes."""
        return []

    def recognize(self, path: Path) -> Recognized | None:
        """Nothing: any images will do, so this task is chosen by name alone."""
        return None

    def layouts(self, path: Path) -> str:
        """None that is looked for."""
        return ""

    def names_in(self, path: Path) -> tuple[str, ...]:
        """No classes."""
        return ()

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        """Raises DataError: without labels there is nothing to check."""
        raise DataError(f"{config.path}: images without labels hold nothing to inspect")

    def result_format(
        self, model: "SwinMaskedImageModel", options: PredictOptions, names: Mapping[str, str]
    ) -> "ReconstructionFormat":
        """The loss of each image."""
        return ReconstructionFormat()

    def evaluate(
        self,
        model: "SwinMaskedImageModel",
        data: Any,
        options: EvaluateOptions,
        **call: "Unpack[EvaluateCall]",
    ) -> tuple[Report, list[str]]:
        """The loss over hidden pixels."""
        from swinkit.pretraining.evaluate import evaluate_pretraining

        report = evaluate_pretraining(
            model,
            data,
            **call,
        )
        return report, []

    def training(self, config: PretrainingTrainConfig) -> "PretrainingTraining":
        """On every image below a folder."""
        from swinkit.pretraining.train import PretrainingTraining

        return PretrainingTraining(config)

    def training_with(
        self, config: PretrainingTrainConfig, find: FindImages
    ) -> "PretrainingTraining":
        """On the images of any task's data."""
        from swinkit.pretraining.train import PretrainingTraining

        return PretrainingTraining(config, find)


class ReconstructionFormat(ResultFormat[Reconstruction]):
    """The loss of an image, and how much of it was hidden."""

    columns = ("loss", "hidden")
    heading = ("loss", "hidden")

    def rows(self, result: Reconstruction) -> list[tuple[str | int | float, ...]]:
        """One."""
        return [(f"{result.loss:.6f}", f"{result.hidden.mean():.6f}")]

    def cells(self, result: Reconstruction) -> list[str]:
        """Loss, and the hidden part in per cent."""
        return [f"{result.loss:.4f}", f"{100 * result.hidden.mean():.0f}%"]


TASK = PretrainingTask()
