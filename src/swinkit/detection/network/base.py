"""What every detection network is: backbone, feature pyramid, images in, detections out.

Legend: B batch, C channels, H W image, h w map, N detections of an image, s side of a mask.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.detection.boxes.assignment import RandomSampler, Sampler
from swinkit.detection.boxes.batch import BatchDetections, best_of_batch
from swinkit.detection.boxes.instances import InstanceTarget, RawDetections
from swinkit.detection.boxes.suppression import best_detections
from swinkit.detection.config import DetectorConfig, OutputConfig
from swinkit.errors import ConfigError
from swinkit.settings import SizeHW

Targets = Sequence[InstanceTarget]


@dataclass(frozen=True, eq=False)
class Features:
    """What the heads read of a batch of images.

    Attributes:
        maps: `B C h w` of each level of the pyramid, finest first.
        semantic: `B C h w` of HTC's semantic branch, or None.
    """

    maps: list[Tensor]
    semantic: Tensor | None = None


class FPN(nn.Module):
    """1x1 laterals, summed from the top down at the nearest place, then a 3x3 convolution each.

    Levels past those of the backbone halve the map again: "pool" takes every second place of the
    level below (P6 of Mask R-CNN), "conv" is a 3x3 convolution of stride 2, the first from the
    backbone's last map, the next from the one before (P6 and P7 of RetinaNet).

    Source: 1612.03144; FPN of mmdet (no norm, no activation; Xavier initialization, biases 0).

    Raises:
        ConfigError: fewer levels wanted than the backbone has.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outputs: int = 5,
        extra: Literal["pool", "conv"] = "pool",
    ) -> None:
        super().__init__()
        num_extra = num_outputs - len(in_channels)
        if not in_channels or num_extra < 0:
            raise ConfigError(
                f"a pyramid of {num_outputs} levels needs between 1 and {num_outputs} maps, "
                f"got {len(in_channels)}"
            )
        self.num_pooled = num_extra if extra == "pool" else 0
        self.lateral = nn.ModuleList(nn.Conv2d(own, out_channels, 1) for own in in_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in in_channels
        )
        sources = [in_channels[-1], *[out_channels] * num_extra][: num_extra - self.num_pooled]
        self.extra = nn.ModuleList(
            nn.Conv2d(own, out_channels, 3, stride=2, padding=1) for own in sources
        )
        for layer in (*self.lateral, *self.output, *self.extra):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """`B C H W` of each level of the backbone, finest first -> `B out H W` of each output."""
        merged = [lateral(level) for lateral, level in zip(self.lateral, maps, strict=True)]
        for below in range(len(merged) - 2, -1, -1):
            above = F.interpolate(merged[below + 1], size=merged[below].shape[-2:], mode="nearest")
            merged[below] = merged[below] + above
        outputs = [output(level) for output, level in zip(self.output, merged, strict=True)]
        source = maps[-1]
        for layer in self.extra:
            source = layer(source)
            outputs.append(source)
        for _ in range(self.num_pooled):
            outputs.append(outputs[-1][..., ::2, ::2])
        return outputs


class DetectionNetwork(nn.Module, ABC):
    """Backbone, feature pyramid, and heads that find candidates; the best of these are kept.

    Args:
        config: architecture.

    Attributes:
        first_stage: of the backbone, from 0, whose map the pyramid reads.
    """

    first_stage: ClassVar[int] = 0
    fpn: FPN

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.backbone = SwinBackbone(config.backbone)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks per stage of the backbone, as layer decay counts them."""
        return self.config.backbone.depths

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per place of each level: the backbone's, then each twice the one before."""
        found = list(self.config.backbone.strides[self.first_stage :])
        while len(found) < self.config.num_levels:
            found.append(2 * found[-1])
        return tuple(found)

    def extra_repr(self) -> str:
        return f"{self.config.kind}, {self.num_classes} classes"

    def forward(
        self,
        images: Tensor,
        sizes_hw: Sequence[SizeHW] | None = None,
        output: OutputConfig | None = None,
    ) -> list[RawDetections]:
        """Detections of each image, boxes in pixels of the input; for evaluation mode.

        Args:
            images: `B C H W`, normalized, padded right and below.
            sizes_hw: each image without its padding; None: nothing is padded.
            output: which detections to keep; None: the configuration's.
        """
        if sizes_hw is None:
            sizes_hw = [(images.shape[2], images.shape[3])] * images.shape[0]
        if len(sizes_hw) != images.shape[0]:
            raise ConfigError(f"{len(sizes_hw)} sizes for a batch of {images.shape[0]} images")
        output = output or self.config.output
        features = self.feature_maps(images)
        found = self.best(features, sizes_hw, output)
        if not self.config.has_masks:
            return found
        masks = self.masks(
            features, [own.boxes_xyxy for own in found], [own.labels for own in found]
        )
        return [
            replace(own, mask_probabilities=own_masks)
            for own, own_masks in zip(found, masks, strict=True)
        ]

    def detect_in_batch(self, images: Tensor, sizes_hw: Tensor) -> tuple[Tensor, ...]:
        """As `forward` with the configuration's output, as one graph for any batch.

        Args:
            images: `B C H W`, normalized, padded right and below.
            sizes_hw: `B 2` int64, each image without its padding.

        Returns:
            Of N detections, those of an image best first: boxes_xyxy (N, 4), scores (N,), labels
            (N,) and the number of the image in the batch (N,), int64; masks (N, s, s) if it has
            any.

        Raises:
            ConfigError: soft suppression, which takes one box after the other.
        """
        output = self.config.output
        if output.suppression.method != "hard":
            raise ConfigError("soft suppression cannot be part of a graph; set it to hard")
        features = self.feature_maps(images)
        candidates = self.candidates_in_batch(features, sizes_hw, output.score_threshold)
        found = best_of_batch(
            candidates, output.suppression.iou, output.max_per_image, images.shape[0]
        )
        outputs = (found.boxes_xyxy, found.scores, found.labels, found.image)
        if not self.config.has_masks:
            return outputs
        return *outputs, self.masks_in_batch(features, found.rois, found.labels)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """`B C H W` -> the feature pyramid's maps, finest first."""
        return self.pyramid_of(self.backbone(images))

    def pyramid_of(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's maps of all stages -> the feature pyramid's, finest first."""
        maps = maps[self.first_stage :]
        if torch.compiler.is_exporting():  # else convolutions ask which order memory has
            maps = [level.contiguous() for level in maps]
        return self.fpn(maps)

    def feature_maps(self, images: Tensor) -> Features:
        """What the heads read of `B C H W` images."""
        return self.features_of(self.backbone(images))

    def features_of(self, maps: Sequence[Tensor]) -> Features:
        """What the heads read, from the backbone's maps."""
        return Features(self.pyramid_of(maps))

    def best(
        self,
        features: Features,
        sizes_hw: Sequence[SizeHW],
        output: OutputConfig | None = None,
    ) -> list[RawDetections]:
        """The detections that are kept of each image, without masks."""
        output = output or self.config.output
        candidates = self.candidates(features, sizes_hw, output.score_threshold)
        return [best_detections(own, output) for own in candidates]

    @abstractmethod
    def candidates(
        self, features: Features, sizes_hw: Sequence[SizeHW], score_threshold: float
    ) -> list[RawDetections]:
        """All that scores higher than the threshold in each image, overlapping and unordered.

        Boxes are clipped to the images, whose sizes without padding are given.
        """

    def candidates_in_batch(
        self, features: Features, sizes_hw: Tensor, score_threshold: float
    ) -> BatchDetections:
        """As `candidates`, of all images together, whose sizes are `B 2` int64.

        Raises:
            ConfigError: a network that does not say how.
        """
        raise ConfigError("this detector cannot be exported")

    def class_probability(
        self, features: Features, box_xyxy: Tensor, label: int, size_hw: SizeHW
    ) -> Callable[[Features], Tensor]:
        """How probable a class is in a (4,) box that was found among `features` of one image.

        Returns:
            From features of B images of the same size to (B,) probabilities, differentiable.

        Raises:
            ConfigError: a network that does not say how.
        """
        raise ConfigError("this detector does not tell how probable a class is in a box")

    def masks_in_batch(self, features: Features, rois: Tensor, classes: Tensor) -> Tensor:
        """(N, s, s) mask probabilities of (N, 5) RoIs, image and box, for their (N,) classes.

        Raises:
            ConfigError: a network without mask heads.
        """
        raise ConfigError("this detector has no mask heads; choose a kind with masks")

    def masks(
        self, features: Features, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """(N, s, s) mask probabilities of each image's detections, for their own class.

        Raises:
            ConfigError: a network without mask heads.
        """
        raise ConfigError("this detector has no mask heads; choose a kind with masks")

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        sampler: Sampler | None = None,
        semantic_maps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch; their sum is the total. Every weight gets a gradient.

        Args:
            images: `B C H W`, normalized, padded right and below.
            targets: one per image, with masks where the detector has mask heads.
            sampler: of the candidates to train on; None: at random.
            semantic_maps: (B, H, W) int64 for the semantic branch, if there is one; None: painted
                from the targets' masks.

        Returns:
            "rpn_objectness", "rpn_box", then "s0_class", "s0_box", "s0_mask" and so on for each
            stage, and "semantic"; for RetinaNet "class" and "box".

        Raises:
            ConfigError: targets without masks for a detector with mask heads, or a number of
                targets other than that of the images.
        """
        if len(targets) != images.shape[0]:
            raise ConfigError(f"{len(targets)} targets for a batch of {images.shape[0]} images")
        return self.batch_losses(images, targets, sampler or RandomSampler(), semantic_maps)

    @abstractmethod
    def batch_losses(
        self, images: Tensor, targets: Targets, sampler: Sampler, semantic_maps: Tensor | None
    ) -> dict[str, Tensor]:
        """`losses`, with as many targets as images and what to sample by."""
