"""Object detection and instance segmentation as a task: what the rest of the package asks of it.

Imports no PyTorch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.detection.config import Suppression
from swinkit.detection.data.foreign import refuse_foreign
from swinkit.detection.data.splits import LAYOUTS, find_annotations
from swinkit.detection.flops import count_detector_flops
from swinkit.detection.format import CocoIds, DetectionFormat
from swinkit.detection.result import Detections
from swinkit.detection.train_config import DetectionTrainConfig
from swinkit.detection.variants import DETECTORS, PARAMETERS
from swinkit.errors import ConfigError
from swinkit.settings import Progress
from swinkit.task.base import EvaluateCall, NetworkSummary, Recognized, Report, counted_networks
from swinkit.task.labeled import LabeledTask
from swinkit.task.options import (
    EvaluateOptions,
    MaskOptions,
    PredictOptions,
    ViewOptions,
    check_range,
)
from swinkit.task.views import TestAugmentation

if TYPE_CHECKING:
    from typing import Unpack

    from swinkit.detection.data.splits import DetectionSplits, Parts
    from swinkit.detection.model import SwinDetector
    from swinkit.detection.train import DetectionTraining

COUNTED_HW = (800, 1280)  # the size that the papers count at


@dataclass(frozen=True, kw_only=True)
class DetectionPredictOptions(ViewOptions, MaskOptions, PredictOptions):
    """Which objects to keep, and how to look at large images."""

    score: Annotated[float, arg(aliases=("--score-threshold",))] = 0.3
    """Detector: objects must score higher; 0.05 and less for measuring precision."""
    coco: Path | None = None
    """Detector: COCO annotation file that gives images and classes their ids in --json."""
    tile: int | None = None
    """Detector: look tile by tile, this many pixels a side, for huge images and small objects."""
    overlap: float = 0.2
    """Detector: share of a tile's side that neighbors have in common."""
    soft_nms: Literal["linear", "gaussian"] | None = None
    """Detector: lower the scores of overlapping objects instead of dropping them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("score", self.score, 0, 1)
        _check_tiles(self.tile, self.overlap)


@dataclass(frozen=True, kw_only=True)
class DetectionEvaluateOptions(ViewOptions, EvaluateOptions):
    """What counts, and how to look at large images."""

    max_detections: int | None = None
    """Detector: objects per image; None takes the model's, usually COCO's 100."""
    score: float | None = None
    """Detector: count errors among objects of this score and more; None takes the score of the
    best F1. Average precision always counts all."""
    tile: int | None = None
    """Detector: look tile by tile, this many pixels a side."""
    overlap: float = 0.2
    """Detector: share of a tile's side that neighbors have in common."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("score", self.score, 0, 1)
        check_range("max-detections", self.max_detections, 1)
        _check_tiles(self.tile, self.overlap)


class DetectionTask(LabeledTask["SwinDetector", Detections]):
    """Boxes, and masks where the network makes them."""

    name = "detection"
    model_kind = "detector"
    data_kinds = ("coco", "voc", "yolo", "labelme", "cvat", "csv")
    train_config = DetectionTrainConfig
    recipe = "fine_tune_detection"
    hub_tag = "object-detection"
    creator = "create_detector"
    predict_options = DetectionPredictOptions
    evaluate_options = DetectionEvaluateOptions

    def network_names(self) -> Sequence[str]:
        """The published detectors, and small ones."""
        return tuple(DETECTORS)

    def networks(self) -> list[NetworkSummary]:
        """Counted at 1280 x 800."""
        return counted_networks(
            DETECTORS, PARAMETERS, lambda config: count_detector_flops(config, COUNTED_HW)
        )

    def recognize(self, path: Path) -> Recognized | None:
        """COCO, Pascal VOC, YOLO, labelme, CVAT or CSV."""
        files = find_annotations(path)
        if files is None:
            refuse_foreign(path)
            return None
        return Recognized(task=self.name, kind=files.kind, notes=files.notes)

    def layouts(self, path: Path) -> str:
        """Annotation files."""
        return LAYOUTS

    def load_parts(
        self, config: DataConfig, class_names: tuple[str, ...] | None = None
    ) -> "tuple[DetectionSplits, Parts]":
        """Images with objects."""
        from swinkit.detection.data.splits import load_parts

        return load_parts(config, class_names)

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        """Objects, their sizes and crowding."""
        from swinkit.detection.inspect import inspect_detection

        return inspect_detection(config, pictures=pictures, seed=seed)

    def predict_arguments(
        self, model: "SwinDetector", options: DetectionPredictOptions, progress: Progress
    ) -> Mapping[str, Any]:
        """Thresholds, tiles and views. Raises ConfigError: masks of a detector of boxes."""
        if options.masks is not None and not model.config.has_masks:
            raise ConfigError("this detector finds boxes, no masks; leave --masks out")
        return {
            "score_threshold": options.score,
            "tile": options.tile,
            "overlap": options.overlap,
            "views": _views(model, options),
            "suppression": Suppression(method=options.soft_nms) if options.soft_nms else None,
            "progress": progress,
        }

    def result_format(
        self, model: "SwinDetector", options: DetectionPredictOptions, names: Mapping[str, str]
    ) -> DetectionFormat:
        """COCO results."""
        return DetectionFormat(names, CocoIds.of(names, options.coco))

    def evaluate(
        self,
        model: "SwinDetector",
        data: Any,
        options: DetectionEvaluateOptions,
        **call: "Unpack[EvaluateCall]",
    ) -> tuple[Report, list[str]]:
        """COCO's average precision, and the kinds of error."""
        from swinkit.detection.evaluate.measure import evaluate_detector

        samples, remarks = self.labeled(model, data, call["split"])
        report = evaluate_detector(
            model,
            samples,
            max_detections=options.max_detections,
            score=options.score,
            views=_views(model, options),
            tile=options.tile,
            overlap=options.overlap,
            **call,
        )
        return report, remarks

    def training(self, config: DetectionTrainConfig) -> "DetectionTraining":
        """The detector's own losses on images with objects."""
        from swinkit.detection.train import DetectionTraining

        return DetectionTraining(config)


def _check_tiles(tile: int | None, overlap: float) -> None:
    check_range("tile", tile, 1)
    check_range("overlap", overlap, 0, 0.9)


def _views(model: "SwinDetector", options: ViewOptions) -> TestAugmentation | None:
    """Mirrored, and in several sizes as factors of the model's own; None without --augment."""
    if not options.augment:
        return None
    short_side = model.preprocessing.short_side
    sides = [round(short_side * scale) for scale in options.scales] if short_side else []
    return TestAugmentation(short_sides=tuple(sides), flip=True)


TASK = DetectionTask()
