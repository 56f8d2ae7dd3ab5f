"""How well a backbone's features tell classes apart, without training it.

Legend: N training images, M measured images, C channels, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from swinkit.classification.data.splits import ClassificationSample, load_classification
from swinkit.console import text_table
from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError, DataError
from swinkit.inference import ImageSize, Weights, load_model
from swinkit.registry import DEFAULT, recognize
from swinkit.retrieval import embed
from swinkit.settings import Progress
from swinkit.task.base import OnError, Split

Probe = Literal["knn", "linear"]
NEIGHBORS, TEMPERATURE = 20, 0.07  # of 1805.01978, with fewer neighbors as in DINO (2104.14294)
PENALTY = 1e-3  # on the squares of the linear classifier's weights, for standardized features
MOST_ITERATIONS = 200
BLOCK = 1024  # measured images whose distances are in memory at once


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """Accuracy of a simple classifier on a backbone's features.

    Attributes:
        kind: "knn" or "linear".
        split: what was measured.
        train_images, images: that the classifier has seen, and that were measured.
        top1: part of the measured images whose class is right.
        per_class: the same of each class, by name; NaN for a class without measured images.
    """

    kind: str
    split: str
    train_images: int
    images: int
    top1: float
    per_class: dict[str, float]

    def numbers(self) -> dict[str, float]:
        """The accuracy."""
        return {"top1": self.top1}

    def table(self) -> str:
        """One line per class and a summary, as plain text."""
        rows = [(name, f"{value:.1%}") for name, value in self.per_class.items()]
        lines = text_table(("class", "accuracy"), rows)
        summary = f"{self.kind} probe, {self.train_images} training images: top-1 {self.top1:.2%}"
        return "\n".join([*lines, f"{summary} of {self.images} {self.split} images"])


def probe(
    weights: Weights,
    data: str | Path | DataConfig,
    kind: Probe = "knn",
    *,
    split: Split | None = None,
    image_size: ImageSize = None,
    device: str | None = None,
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: Progress | None = None,
) -> ProbeReport:
    """Measure a backbone by a simple classifier on its features; the backbone does not learn.

    Args:
        weights: what `swinkit.load` takes, or a model, of any task.
        data: images with one class each; where there are no splits they are made, as in training.
        kind: "knn" asks the 20 nearest training images, each weighted by exp(cosine / 0.07);
            "linear" fits a logistic regression.
        split: what is measured; None takes the test split, else the validation split.
        image_size, device, batch_size, on_error: as for `swinkit.embed`.
        progress: called with (images done, all).

    Raises:
        DataError: other data, or no such split.
        SwinkitError: an unreadable image, or unusable weights.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> model = swinkit.create_model("swin_nano", num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number in range(12):
        ...         file = pathlib.Path(folder) / ("black", "white")[number % 2] / f"{number}.png"
        ...         file.parent.mkdir(exist_ok=True)
        ...         Image.new("L", (64, 64), file.parent.name).save(file)
        ...     swinkit.probe(model, folder).top1
        1.0
    """
    if kind not in ("knn", "linear"):
        raise ConfigError(f"probe is {kind!r}; choose knn or linear")
    names, train, measured, chosen = _parts(data, split)
    model = load_model(weights, device=device)

    def features(samples: list[ClassificationSample]) -> tuple[Tensor, Tensor]:
        found = embed(
            [sample.path for sample in samples],
            model,
            image_size=image_size,
            batch_size=batch_size,
            on_error=on_error,
            progress=progress,
        )
        labels = {str(sample.path): sample.label for sample in samples}
        known = torch.tensor([labels[name] for name in found.names])
        return torch.from_numpy(found.vectors), known

    train_features, train_labels = features(train)
    measured_features, truth = features(measured)
    classify = _nearest if kind == "knn" else _linear
    right = classify(train_features, train_labels, measured_features, len(names)) == truth
    return ProbeReport(
        kind=kind,
        split=chosen,
        train_images=len(train_labels),
        images=len(truth),
        top1=float(right.float().mean()),
        per_class={
            name: float(right[truth == label].float().mean()) for label, name in enumerate(names)
        },
    )


def _parts(
    data: str | Path | DataConfig, split: Split | None
) -> tuple[tuple[str, ...], list[ClassificationSample], list[ClassificationSample], str]:
    """Class names, training images, measured images and the name of their split."""
    config = data if isinstance(data, DataConfig) else DataConfig(path=Path(data))
    found = recognize(config.path, config.kind)
    if found.task != DEFAULT:
        raise DataError(f"{config.path} is for {found.task}; a probe needs one class per image")
    splits = load_classification(config)
    parts = splits.by_name()
    chosen = split or ("test" if "test" in parts else "val")
    if chosen not in parts or chosen == "train":
        there = ", ".join(name for name in parts if name != "train")
        raise DataError(f"a probe learns from train and measures {there}, not {chosen}")
    return splits.class_names, splits.train, parts[chosen], chosen


def _nearest(train: Tensor, labels: Tensor, measured: Tensor, classes: int) -> Tensor:
    """`N C`, `N`, `M C` -> `M` labels by the nearest neighbors' weighted votes."""
    train, measured = functional.normalize(train), functional.normalize(measured)
    votes_for = functional.one_hot(labels, classes).float()  # N K
    found = []
    for block in measured.split(BLOCK):
        cosines, places = (block @ train.T).topk(min(NEIGHBORS, len(train)))  # m k
        votes = (cosines / TEMPERATURE).exp()[..., None] * votes_for[places]  # m k K
        found.append(votes.sum(1).argmax(1))
    return torch.cat(found)


def _linear(train: Tensor, labels: Tensor, measured: Tensor, classes: int) -> Tensor:
    """`N C`, `N`, `M C` -> `M` labels by a logistic regression on standardized features."""
    mean, std = train.mean(0), train.std(0, correction=0).clamp_min(1e-6)
    train, measured = (train - mean) / std, (measured - mean) / std
    weight = torch.zeros(classes, train.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = functional.linear(train, weight, bias)
        loss = functional.cross_entropy(logits, labels) + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return functional.linear(measured, weight, bias).argmax(1)
