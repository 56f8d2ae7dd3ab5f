"""Every published weight file that swinkit loads by name: the table is `published.csv`.

Sources: README.md and MODELHUB.md of microsoft/Swin-Transformer (accuracies on ImageNet-1K
validation, one center crop), torchvision/models/swin_transformer.py, and the model cards of timm
and transformers on the Hugging Face hub, which carry the same weights; README.md of
SwinTransformer/Swin-Transformer-Object-Detection and of
SwinTransformer/Swin-Transformer-Semantic-Segmentation; configs/swin/metafile.yml of mmdetection
and configs/swin/metafile.yaml of mmsegmentation. torchvision's and OpenMMLab's files carry their
hash in the name; the official repositories publish none. Importing this needs no PyTorch.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One file: a row of the table. Empty cells are None.

    Attributes:
        name: what `swinkit.load` takes: variant, a dot, and what it was trained on.
        task: what its model does.
        variant: name of the network.
        trained_on: data set and schedule; in22k_in1k is ImageNet-22K, then ImageNet-1K.
        num_classes: without background.
        image_size: side in pixels of a classifier's training and evaluation.
        window_size, pretrained_window_size: of classifiers, as the authors' configurations give
            them.
        resized_to: short side of an image before a classifier's center crop, where it departs
            from the usual 8/7 of the crop.
        top1, top5: accuracy in per cent on ImageNet-1K; None for 22K classifiers.
        box_ap, mask_ap: per cent on COCO val2017.
        miou, miou_augmented: per cent on ADE20K; one scale, and several scales and flipped.
        publisher: whose file it is.
        license: of the weights, or of the publishers' repository.
        url: the publishers' own file.
        hub_id: the same weights on the Hugging Face hub, which `load` prefers.
        transformers_id: the same weights for transformers.
    """

    name: str
    task: str
    variant: str
    trained_on: str
    num_classes: int
    image_size: int | None
    window_size: int | None
    pretrained_window_size: int | None
    resized_to: int | None
    top1: float | None
    top5: float | None
    box_ap: float | None
    mask_ap: float | None
    miou: float | None
    miou_augmented: float | None
    publisher: str
    license: str
    url: str
    hub_id: str | None
    transformers_id: str | None

    @property
    def crop_fraction(self) -> float | None:
        """Side of a classifier's center crop over the short side of the resized image."""
        if self.image_size is None:
            return None
        if self.resized_to:
            return self.image_size / self.resized_to
        return 0.875 if self.image_size < 384 else 1.0

    @property
    def metrics(self) -> dict[str, float]:
        """The published scores, by the names that a model's `info.metrics` uses."""
        scores = {
            "imagenet_top1": self.top1,
            "coco_box_ap": self.box_ap,
            "coco_mask_ap": self.mask_ap,
            "ade20k_miou": self.miou,
        }
        return {name: score for name, score in scores.items() if score is not None}


def published_of(variant: str) -> tuple[PublishedWeights, ...]:
    """The published files of one network, in the publishers' order."""
    return tuple(entry for entry in PUBLISHED.values() if entry.variant == variant)


def _read_table() -> Iterator[PublishedWeights]:
    kinds = {item.name: (item.type, *get_args(item.type)) for item in fields(PublishedWeights)}
    convert = {
        name: next(kind for kind in (int, float, str) if kind in kinds[name]) for name in kinds
    }
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values: dict[str, Any] = {
                name: convert[name](text) if text else None for name, text in row.items()
            }
            yield PublishedWeights(**values)


PUBLISHED: dict[str, PublishedWeights] = {entry.name: entry for entry in _read_table()}
