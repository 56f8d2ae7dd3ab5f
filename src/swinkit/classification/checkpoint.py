"""Classifiers from weight files: their head, its classes, and how images are prepared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError
from swinkit.task.weights import Evidence, FixedSizeWeights, Tensors, describe_backbone

IMAGENET_22K, IMAGENET_1K = 21841, 1000
HEAD = ("head.fc.weight", "head.fc.bias")


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The architecture of a classifier: a backbone, whose last stage is normed, and K classes."""

    backbone: SwinConfig
    num_classes: int


class ClassifierWeights(FixedSizeWeights[ClassifierConfig]):
    """A linear head on the mean of the last map."""

    task = "classification"
    head_anchor = None
    format_version = 1

    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> ClassifierConfig:
        return ClassifierConfig(
            backbone=SwinConfig.from_dict(values), num_classes=int(num_classes or 0)
        )

    def infer(self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> ClassifierConfig:
        """Norms of earlier stages have no place in a classifier. Without a head, no classes."""
        last = backbone.num_stages - 1
        if last not in backbone.norm_stages:
            raise CheckpointError(
                f"{evidence.origin} lacks the norm after the last stage that a classifier needs; "
                "load it with task='backbone'"
            )
        head = tensors.get(HEAD[0])
        return ClassifierConfig(
            backbone=replace(backbone, norm_stages=(last,)),
            num_classes=0 if head is None else int(head.shape[0]),
        )

    def class_tensors(self, tensors: Tensors, config: ClassifierConfig) -> list[str]:
        return list(HEAD)

    def build(self, config: ClassifierConfig) -> SwinClassifier:
        return SwinClassifier(config.backbone, num_classes=config.num_classes)

    def describe(self, config: ClassifierConfig) -> str:
        return f"{describe_backbone(config.backbone)}, {config.num_classes} classes"

    def shared_rows(self, old: int, new: int) -> tuple[list[int], str] | None:
        """The rows of the classes that ImageNet-22K and 1K both have, in the authors' order."""
        if (old, new) != (IMAGENET_22K, IMAGENET_1K):
            return None
        return (
            imagenet_22k_to_1k(),
            "head: the 1000 ImageNet-1K rows of the ImageNet-22K classifier",
        )

    def class_names(self, num_classes: int, *, published: bool) -> tuple[str, ...] | None:
        """ImageNet's, for published weights of 1000 classes."""
        if not published or num_classes != IMAGENET_1K:
            return None
        # Only published files need it, and it takes over a second to import.
        from torchvision.models import Swin_T_Weights

        return tuple(Swin_T_Weights.IMAGENET1K_V1.meta["categories"])


def imagenet_22k_to_1k() -> list[int]:
    """Index among the 21841 official 22K classes of each ImageNet-1K class."""
    text = Path(__file__).with_name("imagenet_22k_to_1k.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [int(number) for line in lines for number in line.split()]


WEIGHTS = ClassifierWeights()
