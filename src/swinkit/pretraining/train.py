"""Pretraining by masked images. B batch, C channels, H W map, h w patches."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.names import get_variant
from swinkit.data.bands import channels_of
from swinkit.images.preprocessing import Preprocessing
from swinkit.pictures.figures import ScorePanel
from swinkit.pretraining.config import PUBLISHED_PATCH, MaskedImageConfig
from swinkit.pretraining.data import (
    MaskedImageDataset,
    PictureSample,
    PretrainingSplits,
    load_pictures,
    pictures_below,
)
from swinkit.pretraining.masking import masked_config
from swinkit.pretraining.model import SwinMaskedImageModel
from swinkit.pretraining.result import Reconstruction, rows_of
from swinkit.pretraining.train_config import PretrainingTrainConfig
from swinkit.task.base import FindImages
from swinkit.task.evaluating import MeanLoss
from swinkit.task.model import ModelInfo
from swinkit.task.starting_weights import (
    adapt_backbone,
    adapt_preprocessing,
    load_whole,
    start_from,
)
from swinkit.task.training import Batch, FixedSizeTraining, LoadWeights, Step, Validation

logger = logging.getLogger(__name__)

DEFAULT_SIZE = 224  # pixels, of an architecture without a name
SHOWN = 4  # images in a picture


class PretrainingTraining(FixedSizeTraining[SwinMaskedImageModel]):
    """The loss of SimMIM (2111.09886); the best epoch has the smallest on validation images.

    Args:
        config: of the run.
        find: the images of a data set by split; None takes all below a folder.
    """

    most_skipped: ClassVar[int] = 10
    config: PretrainingTrainConfig
    splits: PretrainingSplits
    collate: Callable[[list[Any]], Batch] | None = None

    def __init__(self, config: PretrainingTrainConfig, find: FindImages | None = None) -> None:
        self._find = find or pictures_below
        super().__init__(config)

    def load(self) -> PretrainingSplits:
        """Images; labels beside them are left alone."""
        return load_pictures(self.config.data, self._find)

    def build_model(self, load: LoadWeights) -> SwinMaskedImageModel:
        """A backbone with a mask token and a decoder."""
        wanted = self.config.model
        whole = load_whole(wanted, SwinMaskedImageModel, load)
        if whole is not None:
            whole = self._moved(whole, load)
            backbone, preprocessing = whole.config.backbone, whole.preprocessing
        else:
            backbone, preprocessing = self._architecture()
        preprocessing = adapt_preprocessing(preprocessing, self.config)
        architecture = self._masked(adapt_backbone(backbone, self.config), preprocessing)
        info = ModelInfo() if whole is None else whole.info
        model = SwinMaskedImageModel(architecture, info=replace(info, preprocessing=preprocessing))
        start_from(model, whole, architecture.backbone, wanted, load)
        return model

    def _moved(self, whole: SwinMaskedImageModel, load: LoadWeights) -> SwinMaskedImageModel:
        """The model in the weights on the windows, size and bands of the run."""
        wanted, channels = self.config.model, channels_of(self.config.data)
        own = whole.config.backbone.in_channels
        if wanted.window_size is None and wanted.image_size is None and channels == own:
            return whole
        moved = load(
            str(wanted.weights),
            image_size=wanted.image_size,
            window_size=wanted.window_size,
            in_channels=channels,
        )
        assert isinstance(moved, SwinMaskedImageModel)
        return moved

    def _architecture(self) -> tuple[SwinConfig, Preprocessing]:
        """Of the settings, or of the variant's name."""
        config, channels = self.config, channels_of(self.config.data)
        if config.architecture is not None:
            return config.architecture, Preprocessing.for_size(DEFAULT_SIZE, channels=channels)
        variant = get_variant(config.model.name)
        return variant.config, Preprocessing.for_size(variant.image_size, channels=channels)

    def _masked(self, backbone: SwinConfig, preprocessing: Preprocessing) -> MaskedImageConfig:
        """What is hidden; says so where it is not what the paper hides."""
        masking, size_hw = self.config.masking, preprocessing.size_hw
        found = masked_config(
            backbone,
            size_hw,
            patch=masking.patch,
            ratio=masking.ratio,
            normalize_targets=masking.normalize_targets,
            neighborhood=masking.neighborhood,
        )
        if masking.patch is None and found.mask_patch != PUBLISHED_PATCH:
            logger.info(
                "squares of %d pixels are hidden: %d, as in the paper, leave too few of them in "
                "images of %dx%d",
                *(found.mask_patch, PUBLISHED_PATCH, *size_hw),
            )
        return found

    def dataset(
        self, model: SwinMaskedImageModel, samples: list[PictureSample], *, train: bool
    ) -> MaskedImageDataset:
        """Images with their masks."""
        return MaskedImageDataset(
            samples,
            model.preprocessing,
            model.mask_drawer(),
            self.config.augmentation if train else None,
            seed=self.config.runtime.seed,
            on_bad_image=self.config.data.on_bad_image,
        )

    def probe(self, model: SwinMaskedImageModel, images: Tensor) -> Tensor:
        """The loss under some mask."""
        mask = torch.from_numpy(model.mask_drawer()(np.random.RandomState(0))).to(images.device)
        return model.loss(images, mask.expand(len(images), -1, -1))

    def step(self, model: SwinMaskedImageModel, batch: Batch, seed: int) -> Step:
        """The loss of hidden pixels."""
        images, mask, _ = batch
        return Step(loss=model.loss(images, mask), shown={"images": images, "mask": mask})

    def validation(self, model: SwinMaskedImageModel) -> "PretrainingValidation":
        """The same loss, on masks that stay the same."""
        return PretrainingValidation()

    def score(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """The smaller the loss, the better."""
        return (-row["val_loss"],)

    def headline(self, row: Mapping[str, float]) -> str:
        """Loss."""
        return f"val loss {row['val_loss']:.4f}"

    @property
    def panel(self) -> ScorePanel:
        """The validation's loss."""
        return ScorePanel(
            title="validation loss", columns=(("val_loss", "hidden pixels"),), better=self.rank
        )

    def preview(self, model: SwinMaskedImageModel, shown: dict[str, Any]) -> Figure:
        """A training batch: masked, as the network fills it in at the start, original."""
        found = model.reconstruct(shown["images"][:SHOWN], shown["mask"][:SHOWN])
        return rows_of(found, "a training batch, as the network sees it")


class PretrainingValidation(Validation):
    """Mean loss of the validation images, and what became of the first few."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = MeanLoss()
        self.shown: list[Reconstruction] = []

    def reset(self) -> None:
        """Start anew."""
        self.loss.reset()
        self.shown = []

    def update(self, model: SwinMaskedImageModel, batch: Batch, real: Tensor) -> None:
        """Count the images of a batch that are real."""
        images, mask = batch[0][real], batch[1][real]
        self.loss.update(model.loss(images, mask), images=len(images))
        room = SHOWN - len(self.shown)
        if room > 0:
            self.shown += model.reconstruct(images[:room], mask[:room])

    def compute(self) -> dict[str, float]:
        """Over all processes."""
        return {"val_loss": float(self.loss.compute())}

    def picture(self) -> Figure | None:
        """Masked, reconstructed and original, a row for each of the first images."""
        return rows_of(self.shown, "validation images") if self.shown else None
