"""The architecture of a detector, as plain data."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from swinkit.backbones.config import SwinConfig
from swinkit.detection.roi_config import CASCADE_STAGES, BoxHeadConfig, MaskHeadConfig, RoIConfig
from swinkit.errors import ConfigError
from swinkit.settings import PlainConfig, from_plain

RCNNKind = Literal["faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "htc"]
Kind = Literal["retinanet"] | RCNNKind
KINDS: tuple[Kind, ...] = ("retinanet", *get_args(RCNNKind))
Method = Literal["hard", "linear", "gaussian"]

# Smooth L1 of the region proposals in the published cascades turns quadratic below this.
CASCADE_RPN_BETA = 1.0 / 9.0


@dataclass(frozen=True, kw_only=True)
class RPNConfig:
    """Region proposals: anchors, what they train on, how many boxes they hand on.

    Attributes:
        scale: side of an anchor over the stride of its level. ratios: height over width.
        positive, negative: overlaps from which and below which an anchor is object or background.
        num_samples, positive_fraction: anchors that one image trains on.
        border: anchors that leave the image by more pixels do not train; -1 lets all train.
        box_beta: of the smooth L1 box loss; 0 is plain L1.
        train_pre_nms, train_proposals, test_pre_nms, test_proposals: boxes of a level before, and
            of an image after, suppression of those that overlap more than `iou`.
    """

    scale: float = 8.0
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    positive: float = 0.7
    negative: float = 0.3
    num_samples: int = 256
    positive_fraction: float = 0.5
    border: float = -1.0
    box_beta: float = 0.0
    train_pre_nms: int = 2000
    train_proposals: int = 1000
    test_pre_nms: int = 1000
    test_proposals: int = 1000
    iou: float = 0.7

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(self.ratios))


@dataclass(frozen=True, kw_only=True)
class RetinaHeadConfig:
    """RetinaNet's head (1708.02002).

    Attributes:
        num_convs: 3x3 convolutions in front of classes and of boxes.
        pre_nms: candidates of a level before suppression.
    """

    num_convs: int = 4
    pre_nms: int = 1000

    @property
    def num_anchors(self) -> int:
        """Anchors per place: three ratios, three scales."""
        return 9


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Non-maximum suppression, or its soft forms that lower scores (1704.04503).

    Attributes:
        method: "hard" drops a box that overlaps a better one by more than `iou`; "linear" scales
            its score by 1 - IoU from `iou` on; "gaussian" by exp(-IoU^2 / sigma) always.
        iou: threshold of "hard" and "linear".
        sigma: width of "gaussian".
        min_score: soft methods drop boxes whose lowered score falls below.

    Example:
        >>> import swinkit
        >>> swinkit.Suppression(method="linear", iou=0.3)
        Suppression(method='linear', iou=0.3, sigma=0.5, min_score=0.001)
    """

    method: Method = "hard"
    iou: float = 0.5
    sigma: float = 0.5
    min_score: float = 1e-3

    def __post_init__(self) -> None:
        if self.method not in ("hard", "linear", "gaussian"):
            raise ConfigError(
                f'suppression.method must be "hard", "linear" or "gaussian", got {self.method!r}'
            )
        if not 0 <= self.iou <= 1 or not self.sigma > 0 or not 0 <= self.min_score < 1:
            raise ConfigError(
                "suppression needs iou in 0..1, sigma > 0 and min_score in 0..1, got "
                f"iou {self.iou}, sigma {self.sigma}, min_score {self.min_score}"
            )


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Which detections an image keeps.

    Attributes:
        score_threshold: a detection must score higher.
        suppression: of boxes that overlap, within a class.
        max_per_image: best detections of an image.
    """

    score_threshold: float = 0.05
    suppression: Suppression = field(default_factory=Suppression)
    max_per_image: int = 100


@dataclass(frozen=True, kw_only=True)
class DetectorConfig(PlainConfig, ABC):
    """Everything that decides a detector's computation, and nothing learned.

    Attributes:
        backbone: keeps shifts on small maps and norms the maps that the pyramid reads
            (`detection_backbone`).
        num_classes: K, without background.
        kind: "retinanet", or one of `RCNNConfig`.
        fpn_channels: of the pyramid and of the heads' inputs.
        output: which detections an image keeps.

    Raises:
        ConfigError: settings that do not fit each other.
    """

    backbone: SwinConfig
    num_classes: int = 80
    kind: Kind
    fpn_channels: int = 256
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.num_classes < 1 or self.fpn_channels < 1:
            raise ConfigError("a detector needs at least one class and one channel")

    @property
    def num_levels(self) -> int:
        """Levels of the pyramid: the backbone's and one more (RetinaNet: two, less the first)."""
        return self.backbone.num_stages + 1

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether detections have masks."""

    @property
    @abstractmethod
    def class_agnostic(self) -> bool:
        """Whether box deltas are the same for all classes."""

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "DetectorConfig":
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ConfigError: a key that this version does not know.
        """
        # Weights saved by swinkit 0.1 name the heads of all kinds, None for those they lack.
        known = {name: value for name, value in values.items() if value is not None}
        return from_plain(
            RetinaNetConfig if known.get("kind") == "retinanet" else RCNNConfig, known
        )


@dataclass(frozen=True, kw_only=True)
class RetinaNetConfig(DetectorConfig):
    """RetinaNet: classes and boxes straight from every anchor (1708.02002).

    The backbone's finest map is not read, so its norm, which would never learn, is left out.

    Attributes:
        retina: of the head.
    """

    kind: Literal["retinanet"] = "retinanet"
    retina: RetinaHeadConfig = field(default_factory=RetinaHeadConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "retinanet":
            raise ConfigError(
                f"kind is {self.kind!r}; a RetinaNetConfig has no other than retinanet"
            )
        used = tuple(stage for stage in self.backbone.norm_stages if stage > 0)
        object.__setattr__(self, "backbone", replace(self.backbone, norm_stages=used))

    @property
    def has_masks(self) -> bool:
        return False

    @property
    def class_agnostic(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class RCNNConfig(DetectorConfig):
    """Region proposals and the heads that classify them, in one stage or in a cascade.

    Attributes:
        kind: "faster_rcnn", "mask_rcnn", "cascade_rcnn" (boxes only), "cascade_mask_rcnn" or
            "htc".
        rpn, roi: of the proposals and of the heads; left out, the kind's published ones.

    Raises:
        ConfigError: an unknown kind, or settings that do not fit it.
    """

    kind: RCNNKind = "mask_rcnn"
    rpn: RPNConfig = None  # type: ignore[assignment]  # the kind's, set below
    roi: RoIConfig = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in get_args(RCNNKind):
            kinds = ", ".join(get_args(RCNNKind))
            raise ConfigError(
                f"no detector kind {self.kind!r}; choose one of {kinds}, or retinanet, which has "
                "a RetinaNetConfig"
            )
        if self.rpn is None:
            object.__setattr__(self, "rpn", default_rpn(self.kind))
        if self.roi is None:
            object.__setattr__(self, "roi", default_roi(self.kind))
        if (self.kind in ("mask_rcnn", "cascade_mask_rcnn", "htc")) != self.has_masks:
            needs = "has no" if self.has_masks else "needs"
            raise ConfigError(f"{self.kind} {needs} mask settings")
        if self.roi.semantic is not None and self.roi.semantic.level >= self.num_levels:
            raise ConfigError(f"the pyramid has {self.num_levels} levels, from 0")

    @property
    def has_masks(self) -> bool:
        return self.roi.mask is not None

    @property
    def class_agnostic(self) -> bool:
        return self.roi.box.class_agnostic


def detection_backbone(config: SwinConfig) -> SwinConfig:
    """The backbone as detectors use it: every map normed, shifts kept on small maps."""
    stages = tuple(range(config.num_stages))
    return replace(config, norm_stages=stages, small_map_rule="keep")


def default_rpn(kind: RCNNKind) -> RPNConfig:
    """Region proposals as the published detectors of that kind train them."""
    if kind in ("faster_rcnn", "mask_rcnn"):
        return RPNConfig()
    return RPNConfig(border=0, box_beta=CASCADE_RPN_BETA, train_proposals=2000)


def default_roi(kind: RCNNKind) -> RoIConfig:
    """RoI stages as published: mmdet's Mask R-CNN, the Swin fork's Cascade, mmdet's HTC."""
    if kind == "htc":
        return RoIConfig(
            stages=CASCADE_STAGES,
            box=BoxHeadConfig(class_agnostic=True),
            mask=MaskHeadConfig(flow=True),
            interleaved=True,
            box_loss="smooth_l1",
        )
    mask = None if kind in ("faster_rcnn", "cascade_rcnn") else MaskHeadConfig()
    if kind in ("faster_rcnn", "mask_rcnn"):
        return RoIConfig(mask=mask)
    return RoIConfig(
        stages=CASCADE_STAGES,
        box=BoxHeadConfig(num_convs=4, num_fcs=1, norm="sync_batch"),
        mask=mask,
        low_quality=False,
        box_loss="giou",
        box_loss_weight=10.0,
    )
