"""How well a masked image model fills in images. B batch."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.data.splits import select_split
from swinkit.files import atomic_write
from swinkit.pictures.drawing import save_figure
from swinkit.pretraining.data import MaskedImageDataset, PictureSample, pictures_below
from swinkit.pretraining.model import SwinMaskedImageModel
from swinkit.pretraining.result import Reconstruction, rows_of
from swinkit.settings import Progress
from swinkit.task.base import Split
from swinkit.task.evaluating import MeanLoss

SHOWN = 6  # images in the report's picture


@dataclass(frozen=True, kw_only=True)
class ReconstructionReport:
    """The outcome of an evaluation.

    Attributes:
        loss: mean absolute difference over hidden pixels, in the units of the training loss.
        images: how many were filled in.
        seconds: that it took.
        shown: the first few.
    """

    loss: float
    images: int
    seconds: float
    shown: tuple[Reconstruction, ...] = ()

    def table(self) -> str:
        """The numbers as a table of text."""
        return f"{'loss of hidden pixels':<24}{self.loss:.4f}\n{'images':<24}{self.images}"

    def numbers(self) -> dict[str, float]:
        """The loss."""
        return {"loss": self.loss}

    def write(self, folder: Path) -> None:
        """report.json and reconstructions.png. Raises SwinkitError where the system refuses."""
        with atomic_write(folder / "report.json") as temporary:
            numbers = {"loss": self.loss, "images": self.images, "seconds": self.seconds}
            temporary.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
        save_figure(rows_of(list(self.shown), ""), folder / "reconstructions.png")


def evaluate_pretraining(
    model: SwinMaskedImageModel,
    data: Any,
    *,
    split: Split | None = None,
    batch_size: int = 32,
    out: Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    progress: Progress | None = None,
) -> ReconstructionReport:
    """The loss over images, each with the squares hidden that its number decides.

    Args:
        data: a folder of images, splits, or samples.
        split: which part of a folder that has parts, or of splits.
        out: folder for report.json and reconstructions.png.
        on_bad_image: "skip" lets the next good image take the place of an unreadable one.
        progress: called with (images done, all).

    Raises:
        DataError: no such split.
        ImageError: no image, or an unreadable one with on_bad_image="refuse".
    """
    samples = _samples(data, split)
    dataset = MaskedImageDataset(
        samples, model.preprocessing, model.mask_drawer(), on_bad_image=on_bad_image
    )
    loss, done = MeanLoss(sync_on_compute=False).to(model.device), 0
    shown: list[Reconstruction] = []
    was_training, started = model.training, time.perf_counter()
    model.eval()
    try:
        for images, masks, indices in build_loader(dataset, batch_size=batch_size, shuffle=False):
            with torch.inference_mode():
                images, masks = images.to(model.device), masks.to(model.device)
                loss.update(model.loss(images, masks), images=len(images))
                room = SHOWN - len(shown)
                if room > 0:
                    names = [str(samples[index].path) for index in indices[:room].tolist()]
                    shown += model.reconstruct(images[:room], masks[:room], names)
            done += len(images)
            if progress is not None:
                progress(done, len(samples))
    finally:
        model.train(was_training)
    report = ReconstructionReport(
        loss=float(loss.compute()),
        images=done,
        seconds=time.perf_counter() - started,
        shown=tuple(shown),
    )
    if out is not None:
        report.write(out)
    return report


def _samples(data: Any, split: Split | None) -> Sequence[PictureSample]:
    if isinstance(data, (str, Path, DataConfig)):
        config = data if isinstance(data, DataConfig) else DataConfig(path=Path(data))
        parts = pictures_below(config)
        return [PictureSample(path) for path in parts[select_split(parts, split, config.path)]]
    if isinstance(data, Sequence):
        return data
    parts = data.by_name()
    return list(parts[select_split(parts, split or "val", Path("the data"))])
