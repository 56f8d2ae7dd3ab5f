"""The architecture of one Swin Transformer, V1 or V2, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from swinkit.errors import ConfigError
from swinkit.settings import PlainConfig, SizeHW
from swinkit.windows.kernels import Kernel

SmallMapRule = Literal["shrink_both", "shrink_per_axis", "keep"]


@dataclass(frozen=True, kw_only=True)
class SwinConfig(PlainConfig):
    """Everything that decides the computation, and nothing learned.

    Sizes are (height, width). `window_size` and `pretrained_window_size` may be given as one
    integer, one pair, or one integer or pair per stage; they are stored as one pair per stage.

    Attributes:
        version: 1 (2103.14030: pre-norm, scaled dot product, bias table) or 2 (2111.09883:
            res-post-norm, cosine attention, log-spaced continuous bias).
        in_channels: bands of the input image.
        patch_size: side of a patch in pixels (paper: 4).
        embed_dim: channels C of stage 1; stage i has C * 2**i.
        depths: blocks per stage.
        num_heads: attention heads per stage.
        window_size: M per stage, in tokens.
        mlp_ratio: hidden width of the MLP over its input width.
        qkv_bias: whether query, key, value have a bias (V2: query and value only).
        patch_norm: whether a LayerNorm follows the patch embedding.
        absolute_position_hw: grid of a learned absolute position embedding, or None.
        pretrained_window_size: V2 only, window whose coordinates the bias MLP was trained on, per
            stage; (0, 0) means the stage's own window.
        norm_stages: stages whose output map is layer-normed: (3,) in the classifier, all four
            in the detection fork.
        small_map_rule: which shift remains when a map fits in one window. "shrink_both" drops it
            on both axes when either fits (microsoft, transformers), "shrink_per_axis" drops it
            on the axis that fits (torchvision, timm), "keep" keeps it (detection fork, mmdet).
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0.
        dropout: dropout rate after the embedding, the attention projection and in the MLP.
        attention_dropout: dropout rate on attention weights.
        attention: "auto", "sdpa" or "reference"; the same numbers, see `windows/kernels`.
        gradient_checkpointing: recompute blocks in the backward pass to save memory.

    >>> from swinkit import SwinConfig
    >>> config = SwinConfig(version=2, window_size=(8, 8, 8, 4), drop_path_rate=0.1)
    >>> config.window_size
    ((8, 8), (8, 8), (8, 8), (4, 4))

    Raises:
        ConfigError: values that contradict each other.

    Example:
        >>> config = swinkit.SwinConfig(embed_dim=96, depths=(2, 2, 6, 2))
        >>> config.channels
        (96, 192, 384, 768)
        >>> config.strides
        (4, 8, 16, 32)
    """

    version: Literal[1, 2] = 1
    in_channels: int = 3
    patch_size: int = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: tuple[SizeHW, ...] | SizeHW | int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    patch_norm: bool = True
    absolute_position_hw: SizeHW | None = None
    pretrained_window_size: tuple[SizeHW, ...] | SizeHW | int = 0
    norm_stages: tuple[int, ...] = (3,)
    small_map_rule: SmallMapRule = "shrink_both"
    drop_path_rate: float = 0.0
    dropout: float = 0.0
    attention_dropout: float = 0.0
    attention: Kernel = "auto"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        def fix(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        fix("depths", tuple(self.depths))
        fix("num_heads", tuple(self.num_heads))
        fix("norm_stages", tuple(sorted(self.norm_stages)))
        fix("window_size", per_stage(self.window_size, len(self.depths), "window_size", 1))
        fix(
            "pretrained_window_size",
            per_stage(self.pretrained_window_size, len(self.depths), "pretrained_window_size", 0),
        )
        if self.absolute_position_hw is not None:
            fix("absolute_position_hw", tuple(self.absolute_position_hw))
        self._validate()

    def _validate(self) -> None:
        if self.version not in (1, 2):
            raise ConfigError(f"version is {self.version}; Swin has versions 1 and 2")
        if len(self.num_heads) != len(self.depths) or not self.depths:
            raise ConfigError(
                f"depths {self.depths} and num_heads {self.num_heads} must name the same stages"
            )
        positive = (self.in_channels, self.patch_size, self.embed_dim, *self.depths)
        if min(*positive, *self.num_heads) < 1:
            raise ConfigError("in_channels, patch_size, embed_dim, depths, num_heads must be >= 1")
        for channels, heads in zip(self.channels, self.num_heads, strict=True):
            if channels % heads:
                raise ConfigError(f"{channels} channels cannot be split into {heads} heads")
        if any(not 0 <= stage < len(self.depths) for stage in self.norm_stages):
            raise ConfigError(f"norm_stages {self.norm_stages} names a stage that does not exist")
        for name in ("drop_path_rate", "dropout", "attention_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")

    @property
    def num_stages(self) -> int:
        """Stages, each with half the resolution of the one before.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(depths=(2, 2, 2), num_heads=(3, 6, 12), norm_stages=(2,)).num_stages
        3
        """
        return len(self.depths)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage's output.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(embed_dim=96).channels
        (96, 192, 384, 768)
        """
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.depths)))

    @property
    def windows(self) -> tuple[SizeHW, ...]:
        """`window_size` as stored: one (height, width) per stage.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(window_size=7).windows
        ((7, 7), (7, 7), (7, 7), (7, 7))
        """
        return cast("tuple[SizeHW, ...]", self.window_size)

    @property
    def pretrained_windows(self) -> tuple[SizeHW, ...]:
        """`pretrained_window_size` as stored: one (height, width) per stage.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(version=2, pretrained_window_size=(12, 12, 12, 6)).pretrained_windows
        ((12, 12), (12, 12), (12, 12), (6, 6))
        """
        return cast("tuple[SizeHW, ...]", self.pretrained_window_size)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per token, along each axis, of each stage's output.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(patch_size=4).strides
        (4, 8, 16, 32)
        """
        return tuple(self.patch_size * 2**stage for stage in range(len(self.depths)))

    def adapted(
        self,
        *,
        in_channels: int,
        window_size: SizeHW | int | None = None,
        drop_path_rate: float | None = None,
        attention: Kernel | None = None,
        gradient_checkpointing: bool = False,
    ) -> "SwinConfig":
        """The same architecture with what a user may choose; None keeps its own.

        >>> from swinkit import SwinConfig
        >>> SwinConfig(window_size=7).adapted(in_channels=1, drop_path_rate=0.1).windows[0]
        (7, 7)

        Raises:
            ConfigError: values outside their range.
        """
        return replace(
            self,
            in_channels=in_channels,
            window_size=self.window_size if window_size is None else window_size,
            drop_path_rate=self.drop_path_rate if drop_path_rate is None else drop_path_rate,
            attention=attention or self.attention,
            gradient_checkpointing=gradient_checkpointing,
        )


def per_stage(value: Any, num_stages: int, name: str, least: int) -> tuple[SizeHW, ...]:
    """One (h, w) per stage from an integer, a pair, or a sequence of either.

    A plain pair of integers is one size for every stage unless the model has two stages and the
    pair is nested; integers one per stage are accepted when there are as many as stages (and
    more than two).

    Raises:
        ConfigError: another shape, or a size below `least`.
    """
    if isinstance(value, int):
        sizes: list[Any] = [(value, value)] * num_stages
    elif _is_pair(value) and num_stages != 1:
        sizes = [tuple(value)] * num_stages
    elif isinstance(value, Sequence) and len(value) == num_stages:
        sizes = [(item, item) if isinstance(item, int) else tuple(item) for item in value]
    else:
        sizes = []
    if not sizes or any(not _is_pair(size) or min(size) < least for size in sizes):
        raise ConfigError(
            f"{name} is {value!r}; give an integer >= {least}, a (height, width) pair, "
            f"or one of them for each of the {num_stages} stages"
        )
    return tuple(sizes)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(item, int) for item in value)
    )
