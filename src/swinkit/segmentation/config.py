"""The architecture of one scene segmenter, as plain data. Importing this needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.settings import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Everything that decides the computation, and nothing learned.

    Attributes:
        backbone: its stages must all be normed (`norm_stages`).
        num_classes: K.
        decoder: "upernet" (1807.10221, the paper's choice) or "unet", a light one that reaches
            full resolution.
        channels: width of UPerNet's maps, or of the U-Net's coarsest level.
        pool_scales: cells along each axis of UPerNet's pooling grids.
        auxiliary_stage: stage (from 0) whose map a second head reads in training, or None.
        auxiliary_channels: width of that head.
        auxiliary_convs: its convolutions.
        dropout: chance that a channel is dropped before a classifier.
        late_enlarging: UPerNet joins its levels before it enlarges them: the same numbers, faster.

    Raises:
        ConfigError: values that contradict each other.
    """

    backbone: SwinConfig
    num_classes: int = 150
    decoder: Literal["upernet", "unet"] = "upernet"
    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    auxiliary_stage: int | None = 2
    auxiliary_channels: int = 256
    auxiliary_convs: int = 1
    dropout: float = 0.1
    late_enlarging: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool_scales", tuple(self.pool_scales))
        stages = self.backbone.num_stages
        if self.decoder not in ("upernet", "unet"):
            raise ConfigError(f"decoder is {self.decoder!r}; choose upernet or unet")
        if self.num_classes < 1:
            raise ConfigError(f"num_classes is {self.num_classes}; a segmenter needs at least one")
        if self.backbone.norm_stages != tuple(range(stages)) or stages < 2:
            raise ConfigError(
                f"norm_stages is {self.backbone.norm_stages}; a segmenter reads all of its "
                f"backbone's stages, two or more: give {tuple(range(stages))}"
            )
        if self.auxiliary_stage is not None and not 0 <= self.auxiliary_stage < stages:
            raise ConfigError(
                f"auxiliary_stage is {self.auxiliary_stage}; choose 0 to {stages - 1}, or none"
            )
        sizes = (self.channels, self.auxiliary_channels, self.auxiliary_convs)
        if min(*sizes, *self.pool_scales, 1) < 1 or not self.pool_scales:
            raise ConfigError("channels, auxiliary sizes and pool_scales must be >= 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        patch = self.backbone.patch_size
        if self.decoder == "unet" and (patch < 2 or patch & (patch - 1)):
            raise ConfigError(f"patch_size is {patch}; the U-Net halves: give 2, 4, 8, ...")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SegmenterConfig":
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ConfigError: a key that this version does not know.
        """
        return from_plain(cls, values)
