"""Training a classifier. B batch, C channels, H W map, K classes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy

from swinkit.classification.data.dataset import (
    ClassificationDataset,
    EvalTransform,
    train_transform,
)
from swinkit.classification.data.mixing import MixupCutmix
from swinkit.classification.data.splits import (
    ClassificationSample,
    ClassificationSplits,
    load_classification,
)
from swinkit.classification.model import SwinClassifier, create_model
from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.data.bands import channels_of
from swinkit.data.scan import check_images
from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Preprocessing
from swinkit.pictures.figures import ScorePanel, image_grid, shorten
from swinkit.task.evaluating import MeanLoss
from swinkit.task.model import ModelInfo
from swinkit.task.options import WorkerOptions
from swinkit.task.starting_weights import adapt_backbone, adapt_preprocessing
from swinkit.task.training import Batch, FixedSizeTraining, LoadWeights, Step, Validation

logger = logging.getLogger(__name__)
AUTO = "auto"
LOOKED_AT = 100  # pictures, evenly spread over the data
# Longer sides hold more than a network for 32 pixels sees.
LARGEST_FOR_32 = 48
DEFAULT_SIZE = 224  # pixels, of an architecture without a name


class ClassificationTraining(FixedSizeTraining[SwinClassifier]):
    """Cross-entropy with soft targets; the best epoch has the highest top-1 accuracy.

    Loss of a batch: -1/B sum_b sum_k w_k y_bk log p_bk, with class weights w of mean 1. Dividing by
    B, not by the sum of weights, makes the mean over processes and over accumulated passes equal
    the loss of their whole batch.
    """

    config: ClassificationTrainConfig
    splits: ClassificationSplits
    collate: Callable[[list[Any]], Batch] | None = None

    def __init__(self, config: ClassificationTrainConfig) -> None:
        super().__init__(config)
        self.mixing = MixupCutmix.from_config(config.augmentation, len(self.splits.class_names))
        self.class_weights = (
            None
            if config.class_weights == "none"
            else torch.from_numpy(self.splits.class_weights())
        )

    def load(self) -> ClassificationSplits:
        """Folders or lists of labeled images."""
        return load_classification(self.config.data)

    def build_model(self, load: LoadWeights) -> SwinClassifier:
        """A classifier of the data's classes."""
        config, names = self.config, self.splits.class_names
        if config.model.weights is not None:
            return self._from_weights(config.model.weights, load)
        if config.architecture is not None:
            size = config.model.image_size or DEFAULT_SIZE
            preprocessing = Preprocessing.for_size(size, channels=channels_of(config.data))
            info = ModelInfo(class_names=names, preprocessing=preprocessing)
            architecture = adapt_backbone(config.architecture, config)
            return SwinClassifier(architecture, num_classes=len(names), info=info)
        name = config.model.name
        if name == AUTO:
            paths = [sample.path for sample in self.splits.train]
            name, reason = variant_for(paths, channels_of(config.data))
            logger.info("network: %s", reason)
        return create_model(
            name,
            num_classes=len(names),
            class_names=names,
            image_size=config.model.image_size,
            in_channels=channels_of(config.data),
            window_size=config.model.window_size,
            drop_path_rate=config.model.drop_path_rate,
            gradient_checkpointing=config.model.gradient_checkpointing,
        )

    def _from_weights(self, weights: str, load: LoadWeights) -> SwinClassifier:
        config, names = self.config, self.splits.class_names
        loaded = load(
            weights,
            image_size=config.model.image_size,
            window_size=config.model.window_size,
            task=SwinClassifier.task,
            num_classes=len(names),
            in_channels=channels_of(config.data),
        )
        if not isinstance(loaded, SwinClassifier):
            raise ConfigError(f"{weights} did not give a classifier; choose other weights")
        preprocessing = adapt_preprocessing(loaded.preprocessing, config)
        info = replace(loaded.info, class_names=names, preprocessing=preprocessing)
        architecture = loaded.config.adapted(
            in_channels=channels_of(config.data),
            drop_path_rate=config.model.drop_path_rate,
            gradient_checkpointing=config.model.gradient_checkpointing,
        )
        model = SwinClassifier(architecture, num_classes=len(names), info=info)
        model.load_state_dict(loaded.state_dict())
        return model

    def dataset(
        self, model: SwinClassifier, samples: list[ClassificationSample], *, train: bool
    ) -> ClassificationDataset:
        """Images with labels."""
        preprocessing = model.preprocessing
        return ClassificationDataset(
            samples,
            train_transform(self.config.augmentation, preprocessing)
            if train
            else EvalTransform(preprocessing),
            channels=channels_of(self.config.data),
            seed=self.config.runtime.seed,
            on_bad_image=self.config.data.on_bad_image,
        )

    def probe(self, model: SwinClassifier, images: Tensor) -> Tensor:
        """Mean square of the logits."""
        return model(images).float().square().mean()

    def step(self, model: SwinClassifier, batch: Batch, seed: int) -> Step:
        """Mix, classify, compare."""
        images, labels, _ = batch
        images, targets = self.mixing(images, labels, seed=seed)
        weights = None if self.class_weights is None else self.class_weights.to(images.device)
        loss = functional.cross_entropy(model(images), targets, weight=weights)
        return Step(loss=loss, shown={"images": images, "targets": targets})

    def validation(self, model: SwinClassifier) -> "ClassificationValidation":
        """Loss and accuracy."""
        return ClassificationValidation(model.num_classes)

    def score(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """Top-1 accuracy; among equals the smaller loss."""
        return row["val_top1"], -row["val_loss"]

    def headline(self, row: Mapping[str, float]) -> str:
        """Loss and top-1 accuracy."""
        return f"val loss {row['val_loss']:.4f}  top-1 {row['val_top1']:.2%}"

    @property
    def panel(self) -> ScorePanel:
        """Top-1 and top-5 accuracy."""
        return ScorePanel(better=self.rank)

    def preview(self, model: SwinClassifier, shown: dict[str, Any]) -> Figure:
        """Images with the labels they carry after mixing."""
        return batch_preview(
            shown["images"].float().cpu().numpy(),
            shown["targets"].float().cpu().numpy(),
            model.info.class_names or (),
            model.preprocessing,
        )

    def evaluate_options(self) -> WorkerOptions:
        """As many processes read images as in training."""
        return WorkerOptions(workers=self.config.data.workers)


class ClassificationValidation(Validation):
    """Loss and accuracy of K classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.loss = MeanLoss()
        self.top1 = MulticlassAccuracy(classes, average="micro")
        self.top5 = MulticlassAccuracy(classes, average="micro", top_k=min(5, classes))

    def reset(self) -> None:
        """Start anew."""
        for metric in (self.loss, self.top1, self.top5):
            metric.reset()

    def update(self, model: SwinClassifier, batch: Batch, real: Tensor) -> None:
        """Count the images of a batch that are real."""
        images, labels, _ = batch
        labels, logits = labels[real], model(images)[real].float()
        self.loss.update(functional.cross_entropy(logits, labels), images=len(labels))
        self.top1.update(logits, labels)
        self.top5.update(logits, labels)

    def compute(self) -> dict[str, float]:
        """Over all processes."""
        return {
            "val_loss": float(self.loss.compute()),
            "val_top1": float(self.top1.compute()),
            "val_top5": float(self.top5.compute()),
        }


def variant_for(paths: Sequence[Path], channels: int = 3) -> tuple[str, str]:
    """The name of a network to train from scratch on few pictures, and why.

    >>> from swinkit.classification.train import variant_for
    >>> variant_for([])[0]
    'swin_nano_64'
    """
    paths = paths[:: max(len(paths) // LOOKED_AT, 1)]
    sizes = check_images(paths, scan="none", channels=channels).values()
    sides = [max(size) for size in sizes if not isinstance(size, str)]
    side = int(median(sides)) if sides else 0
    name = "swin_nano_32" if 0 < side <= LARGEST_FOR_32 else "swin_nano_64"
    return name, f"{name}, as the pictures are {side} pixels long"


def batch_preview(
    images: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    *,
    most: int = 16,
) -> Figure:
    """Training images as the network sees them, with the labels they carry.

    Args:
        images: (B, C, H, W) normalized; varied and mixed.
        targets: (B, K) soft targets.
        class_names: K names; may be empty.
        preprocessing: whose normalization is undone.
        most: images to show.
    """
    shown = [preprocessing.restore(image) for image in images[:most]]
    titles = [_describe_target(target, class_names) for target in targets[:most]]
    return image_grid(shown, titles, "a training batch, as the network sees it")


def _describe_target(target: np.ndarray, class_names: Sequence[str]) -> str:
    # What label smoothing spreads evenly is not a label.
    above = target - target.min()
    parts = above / above.sum() if above.sum() > 0 else above
    order = [index for index in np.argsort(-parts)[:2] if parts[index] > 0.005]
    names = [class_names[index] if class_names else f"class {index}" for index in order]
    if len(order) == 1:
        return shorten(names[0])
    return "\n".join(
        f"{parts[index]:.0%} {shorten(name)}" for index, name in zip(order, names, strict=True)
    )
