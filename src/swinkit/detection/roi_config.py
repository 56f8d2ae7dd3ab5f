"""Settings of the stages that work on regions of interest, as plain data."""

from dataclasses import dataclass, field
from typing import Literal

from swinkit.errors import ConfigError

Norm = Literal["none", "batch", "sync_batch", "group"]
BoxLoss = Literal["l1", "smooth_l1", "giou"]
MaskMerge = Literal["mean", "last"]


@dataclass(frozen=True, kw_only=True)
class BoxHeadConfig:
    """Shared convolutions, then shared linear layers, then classes and box deltas.

    Attributes:
        num_convs, conv_channels: 3x3 convolutions in front (published Cascade: 4 of 256).
        num_fcs, fc_channels: linear layers (Mask R-CNN: 2 of 1024; Cascade: 1).
        norm: after each convolution. "sync_batch" is the published Cascade's, for several GPUs;
            "group" suits few RoIs.
        class_agnostic: one box for all classes, and not one per class.
        roi_size: side of the pooled features.
    """

    num_convs: int = 0
    conv_channels: int = 256
    num_fcs: int = 2
    fc_channels: int = 1024
    norm: Norm = "none"
    class_agnostic: bool = False
    roi_size: int = 7

    def __post_init__(self) -> None:
        if self.norm not in ("none", "batch", "sync_batch", "group"):
            raise ConfigError(f"norm is {self.norm!r}; choose none, batch, sync_batch or group")
        if self.num_convs + self.num_fcs < 1 or min(self.num_convs, self.num_fcs) < 0:
            raise ConfigError("a box head needs at least one convolution or linear layer")


@dataclass(frozen=True, kw_only=True)
class MaskHeadConfig:
    """Convolutions, a deconvolution that doubles the side, and one mask per class.

    Attributes:
        num_convs, channels: 3x3 convolutions.
        roi_size: side of the pooled features; masks have twice that.
        flow: feed each stage's features to the next stage's head (HTC's mask information flow).
        merge: probability of the mask from several stages: their "mean" (paper, mmdet 2) or the
            "last" one (HTC in mmdet 3).
    """

    num_convs: int = 4
    channels: int = 256
    roi_size: int = 14
    flow: bool = False
    merge: MaskMerge = "mean"

    def __post_init__(self) -> None:
        if self.merge not in ("mean", "last"):
            raise ConfigError(f"mask merge is {self.merge!r}; choose mean or last")


@dataclass(frozen=True, kw_only=True)
class SemanticConfig:
    """HTC's branch that labels every pixel and lends its features to boxes and masks.

    Attributes:
        num_classes: labels of the semantic maps (COCO-stuff: 183).
        level: pyramid level that the others are resized to.
        ignore: label of pixels without truth.
    """

    num_classes: int = 183
    channels: int = 256
    num_convs: int = 4
    level: int = 1
    ignore: int = 255
    loss_weight: float = 0.2


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of the cascade.

    Attributes:
        iou: overlap from which a candidate counts as an object.
        stds: scale of the box deltas.
        loss_weight: of all its losses.
    """

    iou: float = 0.5
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    loss_weight: float = 1.0

    def __post_init__(self) -> None:
        if len(self.stds) != 4 or min(self.stds) <= 0:
            raise ConfigError(f"stds are {self.stds}; give four positive numbers")
        object.__setattr__(self, "stds", tuple(self.stds))


CASCADE_STAGES = (
    StageConfig(iou=0.5, stds=(0.1, 0.1, 0.2, 0.2), loss_weight=1.0),
    StageConfig(iou=0.6, stds=(0.05, 0.05, 0.1, 0.1), loss_weight=0.5),
    StageConfig(iou=0.7, stds=(0.033, 0.033, 0.067, 0.067), loss_weight=0.25),
)


@dataclass(frozen=True, kw_only=True)
class RoIConfig:
    """All RoI stages: one in Faster and Mask R-CNN, three in Cascade R-CNN and HTC.

    Attributes:
        stages: thresholds, delta scales and loss weights, one per stage.
        box: architecture of every box head.
        mask: architecture of every mask head, or None without masks.
        semantic: HTC's semantic branch, or None.
        interleaved: train masks on boxes that this stage's box head has already moved (HTC).
        low_quality: an object without a candidate above the threshold takes its best one, if
            that reaches the threshold of the stage at all (mmdet's `match_low_quality`).
        num_samples, positive_fraction: candidates that one image trains on.
        box_loss: "l1" and "smooth_l1" (beta 1) on deltas, "giou" on decoded boxes.
    """

    stages: tuple[StageConfig, ...] = (StageConfig(),)
    box: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask: MaskHeadConfig | None = None
    semantic: SemanticConfig | None = None
    interleaved: bool = False
    low_quality: bool = True
    num_samples: int = 512
    positive_fraction: float = 0.25
    box_loss: BoxLoss = "l1"
    box_loss_weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ConfigError("a detector with RoI heads needs at least one stage")
        if self.box_loss not in ("l1", "smooth_l1", "giou"):
            raise ConfigError(f"box_loss is {self.box_loss!r}; choose l1, smooth_l1 or giou")
        if self.num_samples < 1 or not 0 < self.positive_fraction <= 1:
            raise ConfigError("num_samples must be >= 1 and positive_fraction in (0, 1]")
