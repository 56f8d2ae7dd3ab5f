"""What data to train on, as plain settings. Importing this needs no PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from swinkit.errors import ConfigError
from swinkit.settings import expand_user, one_of

DataKind = Literal[
    "auto", "folders", "lists", "coco", "voc", "yolo", "labelme", "cvat", "csv", "masks"
]
"""How data is written: "lists" are CSV files of images and classes, "csv" those of boxes."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images are, how they are split, and what happens to bad ones.

    Attributes:
        path: a folder with train, val and test folders of one folder per class; or a folder of
            class folders; or a CSV file with columns path, label and perhaps split; or a folder
            with train.csv, val.csv and test.csv; or a COCO, Pascal VOC, YOLO, labelme, CVAT or
            CSV data set of boxes; or images with masks.
        kind: how to read `path`; "auto" finds out.
        val_fraction: part of each class kept for validation where `path` has no validation split.
        test_fraction: part of each class kept for the test where `path` has no test split; 0 for
            none.
        split_seed: decides which images these fractions take.
        on_bad_image: "skip" leaves unreadable images out and names them, "refuse" stops.
        strict: refuse a detection data set with any problem instead of leaving out what is unsound.
        scan: check of every image before the start: "header" is fast and finds most damage,
            "full" decodes each image, "none" trusts them.
        workers: processes that read images, beside the main one; 0 reads in the main one.
        channels: channels of the images: 3 color, 1 gray, or the number of bands; "auto" looks.
        shown_bands: the one or three bands, counted from 1, that pictures are drawn from; None
            takes the first three, or of two the first.
        statistics: what images are normalized by: the "data"'s own mean and standard deviation
            per band, those of the "weights", or "auto": the data's own for bands other than gray
            and RGB, and for pictures that use few of their bits.

    Raises:
        ConfigError: a value outside its range.
    """

    path: Path
    kind: DataKind = "auto"
    val_fraction: float = 0.15
    test_fraction: float = 0.0
    split_seed: int = 0
    on_bad_image: Literal["skip", "refuse"] = "skip"
    strict: bool = False
    scan: Literal["header", "full", "none"] = "header"
    workers: Annotated[int, arg(aliases=("--workers",))] = 2
    channels: int | Literal["auto"] = "auto"
    shown_bands: tuple[int, ...] | None = None
    statistics: Literal["auto", "data", "weights"] = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", expand_user(Path(self.path)))
        one_of("kind", self.kind, get_args(DataKind))
        one_of("on_bad_image", self.on_bad_image, ("skip", "refuse"))
        one_of("scan", self.scan, ("header", "full", "none"))
        if not 0 < self.val_fraction < 1 or not 0 <= self.test_fraction < 1:
            raise ConfigError(
                f"val_fraction is {self.val_fraction} and test_fraction {self.test_fraction}; "
                "the first must lie in (0, 1), the second in [0, 1)"
            )
        if self.val_fraction + self.test_fraction >= 1:
            raise ConfigError(
                f"val_fraction {self.val_fraction} and test_fraction {self.test_fraction} "
                "leave nothing to train on; make them smaller"
            )
        one_of("statistics", self.statistics, ("auto", "data", "weights"))
        if self.shown_bands is not None:
            object.__setattr__(self, "shown_bands", tuple(self.shown_bands))
        if self.workers < 0 or (self.channels != "auto" and self.channels < 1):
            raise ConfigError(
                f"workers is {self.workers} and channels {self.channels}; "
                "workers must be >= 0 and channels >= 1"
            )
