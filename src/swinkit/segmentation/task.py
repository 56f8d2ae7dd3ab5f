"""Semantic segmentation as a task: what the rest of the package asks of it. Imports no PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.data.splits import name_some
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.data.files import LAYOUTS, is_segmentation
from swinkit.segmentation.result import SemanticMap
from swinkit.segmentation.train_config import SegmentationTrainConfig
from swinkit.segmentation.variants import PARAMETERS, SEGMENTERS, count_segmenter_flops
from swinkit.settings import Progress
from swinkit.task.base import EvaluateCall, NetworkSummary, Recognized, Report, counted_networks
from swinkit.task.format import ResultFormat
from swinkit.task.labeled import LabeledTask
from swinkit.task.options import (
    EvaluateOptions,
    MaskOptions,
    Options,
    PredictOptions,
    ViewOptions,
    check_range,
)
from swinkit.task.views import TestAugmentation

if TYPE_CHECKING:
    from typing import Unpack

    from swinkit.segmentation.data.splits import Parts, SegmentationSplits
    from swinkit.segmentation.model import SwinSegmenter
    from swinkit.segmentation.train import SegmentationTraining

COUNTED_HW = (512, 2048)  # the size that the paper counts at


@dataclass(frozen=True, kw_only=True)
class WindowOptions(Options):
    """A sliding window."""

    window: int | None = None
    """Segmenter: slide a window of this side over the image; memory stays bounded."""
    stride: int | None = None
    """Segmenter: steps of the window; None takes two thirds of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("window", self.window, 1)
        check_range("stride", self.stride, 1, self.window)


@dataclass(frozen=True, kw_only=True)
class SegmentationPredictOptions(WindowOptions, ViewOptions, MaskOptions, PredictOptions):
    """Windows and views."""


@dataclass(frozen=True, kw_only=True)
class SegmentationEvaluateOptions(WindowOptions, ViewOptions, EvaluateOptions):
    """Windows and views."""


class SegmentationTask(LabeledTask["SwinSegmenter", SemanticMap]):
    """A class for every pixel."""

    name = "segmentation"
    model_kind = "segmenter"
    data_kinds = ("masks",)
    train_config = SegmentationTrainConfig
    recipe = "fine_tune_segmentation"
    hub_tag = "image-segmentation"
    creator = "create_segmenter"
    predict_options = SegmentationPredictOptions
    evaluate_options = SegmentationEvaluateOptions

    def network_names(self) -> Sequence[str]:
        """The published segmenters, and small ones."""
        return tuple(SEGMENTERS)

    def networks(self) -> list[NetworkSummary]:
        """Counted at 2048 x 512, where a rule is published."""
        return counted_networks(SEGMENTERS, PARAMETERS, _counted)

    def recognize(self, path: Path) -> Recognized | None:
        """Images with masks."""
        return Recognized(task=self.name, kind="masks") if is_segmentation(path) else None

    def layouts(self, path: Path) -> str:
        """Folders of images and masks."""
        return LAYOUTS

    def load_parts(
        self, config: DataConfig, class_names: tuple[str, ...] | None = None
    ) -> "tuple[SegmentationSplits, Parts]":
        """Images with masks."""
        from swinkit.segmentation.data.splits import load_parts

        return load_parts(config, class_names)

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        """Pixels of each class."""
        from swinkit.segmentation.inspect import inspect_segmentation

        return inspect_segmentation(config, pictures=pictures, seed=seed)

    def predict_arguments(
        self, model: "SwinSegmenter", options: SegmentationPredictOptions, progress: Progress
    ) -> Mapping[str, Any]:
        """Window and views."""
        return {
            "window": options.window,
            "stride": options.stride,
            "views": _views(options),
            "progress": progress,
        }

    def result_format(
        self, model: "SwinSegmenter", options: SegmentationPredictOptions, names: Mapping[str, str]
    ) -> "SegmentationFormat":
        """Shares of the classes."""
        return SegmentationFormat()

    def evaluate(
        self,
        model: "SwinSegmenter",
        data: Any,
        options: SegmentationEvaluateOptions,
        **call: "Unpack[EvaluateCall]",
    ) -> tuple[Report, list[str]]:
        """mIoU, accuracies, and the agreement of outlines."""
        from swinkit.segmentation.evaluate.measure import evaluate_segmenter

        samples, remarks = self.labeled(model, data, call["split"])
        report = evaluate_segmenter(
            model,
            samples,
            window=options.window,
            stride=options.stride,
            views=_views(options),
            **call,
        )
        return report, remarks

    def training(self, config: SegmentationTrainConfig) -> "SegmentationTraining":
        """Cross-entropy and its relatives on images with masks."""
        from swinkit.segmentation.train import SegmentationTraining

        return SegmentationTraining(config)


def _counted(config: SegmenterConfig) -> int | None:
    return count_segmenter_flops(config, COUNTED_HW) if config.decoder == "upernet" else None


def _views(options: ViewOptions) -> TestAugmentation | None:
    return TestAugmentation(scales=options.scales) if options.augment else None


class SegmentationFormat(ResultFormat[SemanticMap]):
    """The share of each class."""

    columns = ("label", "pixels", "share")
    heading = ("size", "classes")

    def rows(self, result: SemanticMap) -> list[tuple[str | int | float, ...]]:
        """One per class that is there."""
        areas = result.areas().items()
        return [(name, area, f"{area / result.labels.size:.6f}") for name, area in areas]

    def cells(self, result: SemanticMap) -> list[str]:
        """Size, and the shares of the classes."""
        areas = result.areas().items()
        shares = [f"{name} {100 * area / result.labels.size:.0f}%" for name, area in areas]
        return ["x".join(map(str, result.size_hw)), name_some(shares, 6)]

    def write_mask(self, result: SemanticMap, path: Path) -> None:
        """The class of each pixel, in the classes' colors."""
        result.save_png(path)


TASK = SegmentationTask()
